"""The Flyte entities of a search: search, span, generation and finish."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from flytekit.core.base_task import TaskMetadata
from flytekit.core.context_manager import FlyteContextManager
from flytekit.core.python_function_task import PythonFunctionTask
from flytekit.core.tracker import extract_task_module

from flyteoptuna.core import plan
from flyteoptuna.core.report import TrialReport
from flyteoptuna.flyte.objective import STUDY, TRIAL, find, image_of, input_types, named
from flyteoptuna.flyte.promises import StudyPromise
from flyteoptuna.flyte.references import Reference, by_reference, packed, reference
from flyteoptuna.flyte.resolver import adopt, digest, joined, resolver, split
from flyteoptuna.search.inputs import builder
from flyteoptuna.search.request import COUNTS, Request
from flyteoptuna.search.trial_task import map_task, trial_task

_Dynamic = PythonFunctionTask.ExecutionBehavior.DYNAMIC
_Default = PythonFunctionTask.ExecutionBehavior.DEFAULT

DECKS = ("generation", "finish")
"""The tasks whose nodes show how far the search is."""

RETRIES = 3
"""How often a driver is retried for what counts as its own failure, as running out of memory does."""

Reports = by_reference(list[TrialReport | None])
INPUT = "in_"
"""What the names of the fixed inputs begin with, beside those of a search's own."""


def nodes(request: Request) -> StudyPromise:
    """Add a search to the workflow that is being compiled; a promise of its study."""
    search = search_of(
        request.origin, tuple(request.varied), tuple(request.fixed), request.study is not None, request.directions
    )
    progress = search.search(
        **request.counts,
        space=request.space(),
        callbacks=request.pickled(),
        **{f"{INPUT}{name}": value for name, value in request.fixed.items()},
        **({} if request.study is None else {"study": request.study}),
    )
    made = search.finish(study=progress.study, reports=progress.reports, max_failures=request.counts["max_failures"])
    return StudyPromise(made.var, made.ref, made._type, len(request.directions) > 1)


@functools.cache
def _progress() -> Any:
    # Made when it is needed: a trial's pod imports this module, but must not pay for optuna.
    import optuna

    return NamedTuple("Progress", [("study", by_reference(optuna.Study)), ("reports", Reports), ("done", bool)])


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
        lists = map(joined, (self.mapped, self.fixed, self.directions))
        return (
            "flyteoptuna.search.graph:rebuild",
            role,
            module,
            name,
            *lists,
            "continued" if self.continued else "new",
        )

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
        known = named(self.origin)
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
                container_image=image_of(known[0]) if known else None,
                environment=dict(known[0].environment) if known else None,
            )
        args = self._args(role)
        name = extract_task_module(self.origin)[0]
        return adopt(task, f"{name}.{role}-{digest(args)}", args)

    @functools.cached_property
    def _fixed(self) -> dict[str, Any]:
        types = input_types(self.origin)
        return {f"{INPUT}{name}": by_reference(types[name]) for name in self.fixed}

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
        from flyteoptuna.search import driver

        counts = {name: given.pop(name) for name in COUNTS}
        settings = plan.Settings(batch=counts.pop("batch_size"), space=space, **counts)
        text = settings.dumps()
        driver.check_fixed([*given.values()], text, plan.ARITY)
        start = driver.begin(study, settings, self.directions, callbacks)
        stop = plan.generations(settings.n_trials, settings.batch)
        return self._span(0, stop, study=start, reports=[], done=False, settings=text, **given)

    def _span(self, start: int, stop: int, study: Any, reports: Any, done: bool, **shared: Any) -> Any:
        """Run generations one after another."""
        progress = _progress()(study, reports, done)
        if done:
            return progress
        for child in plan.children(plan.Span(start, stop)):
            if len(child) == 1:
                progress = self.generation(index=child.start, **progress._asdict(), **shared)
            else:
                progress = self.span(start=child.start, stop=child.stop, **progress._asdict(), **shared)
        return _progress()(*progress)

    def _generation(self, index: int, study: Any, reports: Any, done: bool, settings: str, **fixed: Any) -> Any:
        """Tell the batch before, ask a batch, and run it."""
        from flyteoptuna.search import driver

        if done:
            return _progress()(study, reports, done)
        given = plan.settings(settings)
        inputs = {name.removeprefix(INPUT): value for name, value in fixed.items()}
        made = driver.generation(index, study, reports, given, builder(self.origin, given.space, inputs))
        batch = made.batch
        if not batch.jobs:
            return _progress()(made.study, [], made.over)
        mapped, shared = tuple(batch.jobs[0].inputs), tuple(batch.fixed)
        own = [{TRIAL: reference(packed(job.handle)), **job.inputs} for job in batch.jobs]
        lists = {name: [item[name] for item in own] for name in (TRIAL, *mapped)}
        task = trial_task(batch.objective, mapped, shared)
        sent = map_task(task, shared, given.concurrency)(**{STUDY: made.study}, **batch.fixed, **lists)
        # Ids of more than 20 characters are hashed by Flyte, so that the pods of different generations stay apart.
        return _progress()(made.study, sent.with_overrides(node_name=f"trials-of-generation-{index}"), False)

    def _finish(self, study: Reference, reports: Reference, max_failures: int | None) -> Any:
        """Tell the last batch, and output the study."""
        from flyteoptuna.search import driver

        return driver.tell(study, reports, max_failures, last=True)


@functools.cache
def search_of(
    origin: Any, mapped: tuple[str, ...], fixed: tuple[str, ...], continued: bool, directions: tuple[str, ...]
) -> Search:
    """The :class:`Search` of these arguments; one alone, for Flyte has one task a name."""
    return Search(origin, mapped, fixed, continued, directions)


def rebuild(role: str, module: str, name: str, mapped: str, fixed: str, directions: str, start: str) -> Any:
    """The entity of a search in a fresh process; the arguments are those that :class:`Search` gave the resolver."""
    names = [split(text) for text in (mapped, fixed, directions)]
    return getattr(search_of(find(module, name), names[0], names[1], start == "continued", names[2]), role)
