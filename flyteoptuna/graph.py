"""The Flyte entities of a search: search, span, generation and finish."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from flytekit.core.base_task import TaskMetadata
from flytekit.core.context_manager import FlyteContextManager
from flytekit.core.python_function_task import PythonFunctionTask
from flytekit.core.tracker import extract_task_module

from flyteoptuna import local, plan, space, trials
from flyteoptuna.capture import ObjectiveCall, objective_call
from flyteoptuna.references import Reference, by_reference, offloaded, packed, refer, reference
from flyteoptuna.resolver import resolver
from flyteoptuna.trial import InputsNotMade, TrialReport

_Dynamic = PythonFunctionTask.ExecutionBehavior.DYNAMIC
_Default = PythonFunctionTask.ExecutionBehavior.DEFAULT

DECKS = ("generation", "finish")
"""The tasks whose nodes show how far the search is."""

RETRIES = 3
"""How often a driver is retried for what counts as its own failure, as running out of memory does."""

Reports = by_reference(list[TrialReport | None])
COUNTS = {
    "n_trials": int,
    "concurrency": int,
    "batch_size": int,
    "timeout": float | None,
    "max_failures": int | None,
    "avoid_duplicates": bool,
}
"""The settings of a search that may be promises, by the types that Flyte knows them by."""


@functools.cache
def _progress() -> Any:
    # Made when it is needed: a trial's pod imports this module, but must not pay for optuna.
    import optuna

    return NamedTuple("Progress", [("study", by_reference(optuna.Study)), ("reports", Reports), ("done", bool)])


def is_task(origin: Any) -> bool:
    """Whether a search maps an objective directly, rather than what a callback calls."""
    return isinstance(origin, PythonFunctionTask)


def input_types(origin: Any) -> dict[str, Any]:
    """Types of the inputs of an objective, or of the fixed ones of a callback."""
    if is_task(origin):
        return dict(origin.python_interface.inputs)
    hints = typing.get_type_hints(origin, include_extras=True)
    return {name: hints[name] for name in inspect.signature(origin).parameters if name != "trial" and name in hints}


def objectives(origin: Any) -> list[PythonFunctionTask[Any]]:
    """The objective, or the tasks that a callback names, by which drivers know their image before it is run."""
    if is_task(origin):
        return [origin]
    names = inspect.getclosurevars(inspect.unwrap(origin))
    found = [*names.globals.values(), *names.nonlocals.values()]
    found += [getattr(value, name, None) for value in found if inspect.ismodule(value) for name in names.unbound]
    return [value for value in found if is_task(value)]


@dataclass(frozen=True)
class Search:
    """Builds the entities of one search.

    Args:
        origin: the task to map, or a callback that calls one.
        mapped: names of the inputs that hold suggestions; none with a callback.
        fixed: names of the inputs that are the same for every trial.
        continued: whether the search goes on with a study that it is given.
        directions: directions of the study that is made where none is given; none where they are not known.
    """

    origin: Any
    mapped: tuple[str, ...]
    fixed: tuple[str, ...]
    continued: bool
    directions: tuple[str, ...]

    def _args(self, role: str) -> tuple[str, ...]:
        _, module, name, _ = extract_task_module(self.origin)
        lists = map(trials.joined, (self.mapped, self.fixed, self.directions))
        return ("flyteoptuna.graph:rebuild", role, module, name, *lists, "continued" if self.continued else "new")

    def _task(self, role: str, body: Callable[..., Any], inputs: Mapping[str, Any], output: Any, mode: Any) -> Any:
        def function(**kwargs: Any) -> Any:
            return body(**kwargs)

        kind = inspect.Parameter.KEYWORD_ONLY
        parameters = [inspect.Parameter(name, kind, annotation=t) for name, t in inputs.items()]
        function.__signature__ = inspect.Signature(parameters, return_annotation=output)  # type: ignore[attr-defined]
        function.__annotations__ = {**inputs, "return": output}
        function.__name__ = function.__qualname__ = role
        function.__module__ = __name__
        function.__doc__ = body.__doc__
        known = objectives(self.origin)
        # Compiling, flytekit gives a task the resolver of the workflow, whatever it is told.
        ctx = FlyteContextManager.current_context()
        with FlyteContextManager.with_context(ctx.with_compilation_state(None)):
            task: PythonFunctionTask[Any] = PythonFunctionTask(
                task_config=None,
                task_function=function,
                execution_mode=mode,
                task_resolver=resolver,
                metadata=TaskMetadata(generates_deck=role in DECKS, retries=RETRIES),
                enable_deck=role in DECKS,
                deck_fields=(),
                container_image=trials.image_of(known[0]) if known else None,
                environment=dict(known[0].environment) if known else None,
            )
        args = self._args(role)
        name = extract_task_module(self.origin)[0]
        return trials.adopt(task, f"{name}.{role}-{trials.digest(args)}", args)

    @functools.cached_property
    def _fixed(self) -> dict[str, Any]:
        types = input_types(self.origin)
        return {f"in_{name}": by_reference(types[name]) for name in self.fixed}

    @functools.cached_property
    def _state(self) -> dict[str, Any]:
        return dict(_progress().__annotations__)

    @functools.cached_property
    def search(self) -> Any:
        """The root: makes the study or takes the given one, and emits the top span."""
        given = {"study": self._state["study"]} if self.continued else {}
        inputs = {**COUNTS, "space": str, "callbacks": str, **given, **self._fixed}
        return self._task("search", self._search, inputs, _progress(), _Dynamic)

    @functools.cached_property
    def span(self) -> Any:
        """Consecutive generations under one node."""
        inputs = {"start": int, "stop": int, **self._state, "settings": str, **self._fixed}
        return self._task("span", self._span, inputs, _progress(), _Dynamic)

    @functools.cached_property
    def generation(self) -> Any:
        """Tells the reports before it, asks a batch, and maps the trials."""
        inputs = {"index": int, **self._state, "settings": str, **self._fixed}
        return self._task("generation", self._generation, inputs, _progress(), _Dynamic)

    @functools.cached_property
    def finish(self) -> Any:
        """Tells the last reports and outputs the study."""
        import optuna

        inputs = {"study": self._state["study"], "reports": Reports, "max_failures": int | None}
        return self._task("finish", self._finish, inputs, optuna.Study, _Default)

    def _search(self, space: str, callbacks: str, study: Reference | None = None, **given: Any) -> Any:
        """Begin the search."""
        from flyteoptuna import driver

        counts = {name: given.pop(name) for name in COUNTS}
        settings = plan.Settings(batch=counts.pop("batch_size"), space=space, **counts)
        text = settings.dumps()
        driver.check_fixed([*given.values()], text, plan.ARITY)
        start = driver.begin(study, settings, self.directions, callbacks)
        stop = plan.generations(settings.n_trials, settings.batch)
        with driver.kept(start.study):
            return self._span(0, stop, study=start, reports=[], done=False, settings=text, **given)

    def _span(self, start: int, stop: int, study: Any, reports: Any, done: bool, **shared: Any) -> Any:
        """Run generations one after another."""
        progress = _progress()(study, reports, done)
        if done:
            return progress
        for child in plan.children(plan.Span(start, stop)):
            if len(child) == 1:
                progress = self._node("generation")(index=child.start, **progress._asdict(), **shared)
            else:
                progress = self._node("span")(start=child.start, stop=child.stop, **progress._asdict(), **shared)
        return _progress()(*progress)

    def _node(self, role: str) -> Any:
        # A local run goes straight on in this process: flytekit takes 10 ms to run a dynamic there, and the study
        # would go through a file each time.
        return getattr(self, f"_{role}" if local.is_local() else role)

    def _generation(self, index: int, study: Any, reports: Any, done: bool, settings: str, **fixed: Any) -> Any:
        """Tell the batch before, ask a batch, and run it."""
        from flyteoptuna import driver

        if done:
            return _progress()(study, reports, done)
        given = plan.settings(settings)
        inputs = {name.removeprefix("in_"): value for name, value in fixed.items()}
        build = self._from_space(given.space, inputs) if given.space else callback_build(self.origin, inputs)
        batch = driver.generation(index, study, reports, given, build)
        if not batch.jobs:
            return _progress()(batch.study, [], batch.over)
        mapped = tuple(batch.jobs[0].inputs)
        task = trials.trial_task(batch.objective, mapped, tuple(batch.fixed))
        shared = {trials.STUDY: batch.study, **batch.fixed}
        own = [{trials.TRIAL: reference(packed(job.handle)), **job.inputs} for job in batch.jobs]
        if local.is_local():
            sent = local.batch(task, [{**shared, **item} for item in own], given.concurrency)
        else:
            lists = {name: [item[name] for item in own] for name in (trials.TRIAL, *mapped)}
            sent = trials.map_task(task, tuple(batch.fixed), given.concurrency)(**shared, **lists)
            # Ids of more than 20 characters are hashed by Flyte, so that the pods of different generations stay apart.
            sent = sent.with_overrides(node_name=f"trials-of-generation-{index}")
        return _progress()(batch.study, sent, False)

    def _from_space(self, text: str, fixed: Mapping[str, Reference]) -> Callable[[Any], ObjectiveCall]:
        from flyteoptuna import study as studies

        inputs = space.loads(text)

        def build(trial: Any) -> ObjectiveCall:
            def draw(name: str, suggestion: space.Suggestion) -> Any:
                return studies.draw(trial, name, suggestion)

            types = self.origin.python_interface.inputs
            drawn = {
                name: space.fitted(space.materialise(value, name, draw), types[name]) for name, value in inputs.items()
            }
            return ObjectiveCall(self.origin, {**drawn, **fixed})

        return build

    def _finish(self, study: Reference, reports: Reference, max_failures: int | None) -> Any:
        """Tell the last batch, and output the study."""
        from flyteoptuna import driver

        return driver.tell(study, reports, max_failures, last=True)


@functools.cache
def search(
    origin: Any, mapped: tuple[str, ...], fixed: tuple[str, ...], continued: bool, directions: tuple[str, ...]
) -> Search:
    """The :class:`Search` of these arguments; one alone, for Flyte has one task a name."""
    return Search(origin, mapped, fixed, continued, directions)


def callback_build(callback: Callable[..., Any], fixed: Mapping[str, Reference]) -> Callable[[Any], ObjectiveCall]:
    """What makes the call of the objective for a trial by running a callback.

    The callback gets plain values. One that lives in files, and that it hands on as it is, goes by reference.
    """
    types = input_types(callback)
    kept = {name: ref.read(types[name]) for name, ref in fixed.items() if offloaded(ref.literal)}
    origins = {id(value): fixed[name] for name, value in kept.items()}

    def call(trial: Any) -> ObjectiveCall:
        # What is inline is read anew, for a callback may change a dictionary that it is given.
        plain = {name: kept[name] if name in kept else ref.read(types[name]) for name, ref in fixed.items()}
        made = objective_call(callback, trial, plain)
        objective = trials.check_objective(made.objective)
        given = {name: origins.get(id(value), value) for name, value in made.inputs.items()}
        natives = objective.python_interface.inputs
        inputs = trials.completed(objective, objective.name, natives, given)
        # Converted here, so that an input of the wrong type is this trial's failure and no other's.
        return ObjectiveCall(
            objective, {name: refer(space.fitted(inputs[name], natives[name]), natives[name]) for name in natives}
        )

    def build(trial: Any) -> ObjectiveCall:
        try:
            return call(trial)
        except Exception as error:
            raise InputsNotMade from error

    return build


def rebuild(role: str, module: str, name: str, mapped: str, fixed: str, directions: str, start: str) -> Any:
    """The entity of a search in a fresh process; the arguments are those that :class:`Search` gave the resolver."""
    names = [trials.split(text) for text in (mapped, fixed, directions)]
    return getattr(search(trials.find(module, name), names[0], names[1], start == "continued", names[2]), role)
