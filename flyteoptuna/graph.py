"""The Flyte entities of a search: search, span, generation, trial and finish."""

from __future__ import annotations

import copy
import functools
import hashlib
import importlib
import inspect
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import optuna
from flytekit.core.array_node_map_task import ArrayNodeMapTask
from flytekit.core.context_manager import FlyteContextManager
from flytekit.core.interface import Interface, transform_interface_to_typed_interface
from flytekit.core.python_function_task import AsyncPythonFunctionTask, PythonFunctionTask
from flytekit.core.tracker import extract_task_module
from flytekit.core.type_engine import TypeEngine
from flytekit.exceptions.user import FlyteRecoverableException

from flyteoptuna import plan, space, types
from flyteoptuna import study as studies
from flyteoptuna.resolver import resolver
from flyteoptuna.trial import TrialReport, outcome, recorded

TRIAL = "trial_number"
"""The input that a trial's pod learns its number from."""

Reports = types.by_reference(list[TrialReport | None])
StudyRef = types.by_reference(optuna.Study)


class Progress(NamedTuple):
    study: StudyRef  # type: ignore[valid-type]
    reports: Reports  # type: ignore[valid-type]
    done: bool


_Dynamic = PythonFunctionTask.ExecutionBehavior.DYNAMIC
_Default = PythonFunctionTask.ExecutionBehavior.DEFAULT


def arity(objective: PythonFunctionTask[Any]) -> int:
    """Number of values that an objective returns."""
    return len(objective.python_interface.outputs)


@dataclass(frozen=True)
class Search:
    """Builds the entities of one search.

    Args:
        objective: the task to map.
        mapped: names of the inputs that hold suggestions.
        fixed: names of the inputs that are the same for every trial.
        continued: whether the search goes on with a study that it is given.
        directions: directions of the study that is made where none is given.
    """

    objective: PythonFunctionTask[Any]
    mapped: tuple[str, ...]
    fixed: tuple[str, ...]
    continued: bool
    directions: tuple[str, ...]

    def _args(self, role: str) -> tuple[str, ...]:
        _, module, name, _ = extract_task_module(self.objective)
        lists = (",".join(self.mapped), ",".join(self.fixed), ",".join(self.directions))
        return ("flyteoptuna.graph:rebuild", role, module, name, *lists, "continued" if self.continued else "new")

    def _name(self, role: str) -> str:
        # Two searches over one objective may differ in their interfaces, and Flyte has one task a name.
        digest = hashlib.sha256("|".join(self._args(role)).encode()).hexdigest()[:6]
        return f"{self.objective.name}.{role}-{digest}"

    def _own(self, task: PythonFunctionTask[Any], role: str) -> PythonFunctionTask[Any]:
        task.set_resolver(resolver)
        task.rebuild_args = self._args(role)
        task._name, task._instantiated_in = self._name(role), None
        task.reset_command_fn()
        return task

    def _task(self, role: str, body: Callable[..., Any], inputs: Mapping[str, Any], output: Any, mode: Any) -> Any:
        def function(**kwargs: Any) -> Any:
            return body(**kwargs)

        kind = inspect.Parameter.KEYWORD_ONLY
        parameters = [inspect.Parameter(name, kind, annotation=t) for name, t in inputs.items()]
        function.__signature__ = inspect.Signature(parameters, return_annotation=output)  # type: ignore[attr-defined]
        function.__annotations__ = {**inputs, "return": output}
        function.__name__ = function.__qualname__ = role
        function.__module__ = __name__
        # A task built while a workflow is compiled takes that workflow's resolver, whatever it is given.
        ctx = FlyteContextManager.current_context()
        with FlyteContextManager.with_context(ctx.with_compilation_state(None)):
            task: PythonFunctionTask[Any] = PythonFunctionTask(
                task_config=None,
                task_function=function,
                execution_mode=mode,
                task_resolver=resolver,
                container_image=self.objective.container_image,
            )
        return self._own(task, role)

    @functools.cached_property
    def _shared(self) -> dict[str, Any]:
        natives = self.objective.python_interface.inputs
        counts = {"n_trials": int, "batch": int, "space": str}
        return {**counts, **{f"in_{name}": types.by_reference(natives[name]) for name in self.fixed}}

    @functools.cached_property
    def search(self) -> Any:
        """The root: makes the study or takes the given one, and emits the top span."""
        inputs = {**self._shared, **({"study": StudyRef} if self.continued else {})}
        return self._task("search", self._search, inputs, Progress, _Dynamic)

    @functools.cached_property
    def span(self) -> Any:
        """Consecutive generations under one node."""
        inputs = {"start": int, "stop": int, **dict(Progress.__annotations__), **self._shared}
        return self._task("span", self._span, inputs, Progress, _Dynamic)

    @functools.cached_property
    def generation(self) -> Any:
        """Tells the reports before it, asks a batch, and maps the trials."""
        inputs = {"index": int, **dict(Progress.__annotations__), **self._shared}
        return self._task("generation", self._generation, inputs, Progress, _Dynamic)

    @functools.cached_property
    def finish(self) -> Any:
        """Tells the last reports and outputs the study."""
        return self._task("finish", self._finish, {"study": StudyRef, "reports": Reports}, optuna.Study, _Default)

    @functools.cached_property
    def trial(self) -> PythonFunctionTask[Any]:
        """The objective with the same settings, whose output is a report."""
        task = copy.copy(self.objective)
        natives = self.objective.python_interface.inputs
        inputs = {TRIAL: int, **{n: types.by_reference(natives[n]) for n in (*self.mapped, *self.fixed)}}
        interface = Interface(inputs, {"o0": TrialReport})
        task._python_interface = task._native_interface = interface
        task._interface = transform_interface_to_typed_interface(interface)
        task._task_function = self._trial_function(natives)
        return self._own(task, "trial")

    def _trial_function(self, natives: Mapping[str, Any]) -> Callable[..., Any]:
        function, n_values = self.objective.task_function, arity(self.objective)
        local = FlyteContextManager.current_context

        def passes() -> tuple[type[BaseException], ...]:
            # Flyte retries this one; a local run does not, so there it is a failure like any other.
            state = local().execution_state
            return () if state is not None and state.is_local_execution() else (FlyteRecoverableException,)

        def values(inputs: Mapping[str, Any]) -> dict[str, Any]:
            return {k: v.read(natives[k]) if isinstance(v, types.Reference) else v for k, v in inputs.items()}

        def sync(**inputs: Any) -> TrialReport:
            report = TrialReport(trial=inputs.pop(TRIAL))
            with recorded(report, passes()):
                report.values, report.error = outcome(function(**values(inputs)), n_values)
            return report

        async def awaited(**inputs: Any) -> TrialReport:
            report = TrialReport(trial=inputs.pop(TRIAL))
            with recorded(report, passes()):
                report.values, report.error = outcome(await function(**values(inputs)), n_values)
            return report

        return functools.wraps(function)(awaited if isinstance(self.objective, AsyncPythonFunctionTask) else sync)

    def _search(self, study: types.Reference | None = None, **shared: Any) -> Any:
        for name in ("n_trials", "batch"):
            if shared[name] < 1:
                label = "concurrency" if name == "batch" else name
                raise ValueError(f"`{label} >= 1` must hold, but got {label}={shared[name]}.")
        start = study or studies.create(shared["batch"], random.SystemRandom().getrandbits(31), self.directions)
        stop = plan.generations(shared["n_trials"], shared["batch"])
        return self._span(0, stop, study=start, reports=[], done=False, **shared)

    def _span(self, start: int, stop: int, study: Any, reports: Any, done: bool, **shared: Any) -> Any:
        progress = Progress(study, reports, done)
        if done:
            return progress
        for child in plan.children(plan.Span(start, stop)):
            if len(child) == 1:
                progress = self.generation(index=child.start, **progress._asdict(), **shared)
            else:
                progress = self.span(start=child.start, stop=child.stop, **progress._asdict(), **shared)
        return Progress(*progress)

    def _generation(self, index: int, study: Any, reports: Any, done: bool, **shared: Any) -> Any:
        if done:
            return Progress(study, reports, done)
        state = study.read(optuna.Study)
        studies.tell(state, reports.read(list[TrialReport | None]))
        studies.check(state, last=False)
        if state.stopped:
            return Progress(state, [], True)
        inputs = space.loads(shared["space"])
        size = plan.batch(index, shared["n_trials"], shared["batch"])
        asked = [studies.ask(state, inputs) for _ in range(size)]
        reports = self._map(shared["batch"])(
            **{TRIAL: [number for number, _ in asked]},
            **{name: [self._literal(name, drawn[name]) for _, drawn in asked] for name in self.mapped},
            **{name: shared[f"in_{name}"] for name in self.fixed},
        ).with_overrides(node_name=f"trials-of-generation-{index}")
        return Progress(state, reports, False)

    def _map(self, batch: int) -> Any:
        # With a ratio of 0 a batch may lose all its trials; only what sends no report counts against it at all.
        return ArrayNodeMapTask(self.trial, concurrency=batch, min_success_ratio=0.0, bound_inputs=set(self.fixed))

    def _literal(self, name: str, value: Any) -> Any:
        native = self.objective.python_interface.inputs[name]
        ctx = FlyteContextManager.current_context()
        return types.reference(TypeEngine.to_literal(ctx, value, native, TypeEngine.to_literal_type(native)))

    def _finish(self, study: types.Reference, reports: types.Reference) -> optuna.Study:
        state: optuna.Study = study.read(optuna.Study)
        studies.tell(state, reports.read(list[TrialReport | None]))
        studies.check(state, last=True)
        return state


def rebuild(role: str, module: str, name: str, mapped: str, fixed: str, directions: str, start: str) -> Any:
    """The entity of a search in a fresh process; the arguments are those that :class:`Search` gave the resolver."""
    objective = getattr(importlib.import_module(module), name)
    objective = getattr(objective, "objective", objective)
    split = [tuple(filter(None, text.split(","))) for text in (mapped, fixed, directions)]
    return getattr(Search(objective, split[0], split[1], start == "continued", split[2]), role)
