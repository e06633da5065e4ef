"""The trial task, which is the objective with a report for its output, and the map over a batch of them."""

from __future__ import annotations

import copy
import dataclasses
import functools
import hashlib
import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from flytekit.core.array_node_map_task import ArrayNodeMapTask
from flytekit.core.interface import Interface, transform_interface_to_typed_interface
from flytekit.core.python_function_task import AsyncPythonFunctionTask, PythonFunctionTask
from flytekit.core.task import ReferenceTask
from flytekit.core.tracker import extract_task_module
from flytekit.exceptions.user import FlyteRecoverableException

from flyteoptuna import reports
from flyteoptuna.local import is_local
from flyteoptuna.references import Reference, by_reference, unpacked
from flyteoptuna.resolver import resolver
from flyteoptuna.trial import ActiveTrial, TrialReport, recording

TRIAL = "optuna_trial"
"""The mapped input that tells a pod which trial it runs: number, key, params, room."""
STUDY = "optuna_study"
"""The bound input that refers to the study as it was when the batch was asked."""
RESERVED = (TRIAL, STUDY)
FORMAT = 1
"""Version of the report. It is part of the cache version, for a cached report must be one that is understood."""


def arity(objective: PythonFunctionTask[Any]) -> int:
    """Number of values that an objective returns."""
    return len(objective.python_interface.outputs)


def image_of(objective: PythonFunctionTask[Any]) -> Any:
    """The image that an objective runs in, which its pod template may name."""
    template = objective.pod_template
    if objective.container_image is None and template is not None and template.pod_spec is not None:
        for container in template.pod_spec.containers or ():
            if container.name == template.primary_container_name:
                return container.image
    return objective.container_image


def defaults(origin: Any) -> dict[str, Any]:
    """The inputs of an objective or a callback that need not be given, and what they are then."""
    parameters = inspect.signature(getattr(origin, "task_function", origin)).parameters
    return {name: p.default for name, p in parameters.items() if p.default is not inspect.Parameter.empty}


def completed(origin: Any, name: str, known: Iterable[str], given: Mapping[str, Any]) -> dict[str, Any]:
    """All known inputs of an objective or a callback: the given ones, and the defaults of the others.

    Raises:
        TypeError: one has neither; ``name`` says of what.
    """
    inputs = {**defaults(origin), **given}
    missing = [key for key in known if key not in inputs]
    if missing:
        raise TypeError(f"Inputs of {name} are missing: {', '.join(missing)}.")
    return {key: inputs[key] for key in known}


def adopt(task: Any, name: str, args: Sequence[str]) -> Any:
    """Give a task a name and the arguments by which a container builds it again.

    Flytekit names a function task after its function, and where one is built while a workflow is compiled, gives it
    that workflow's resolver whatever it was told; there is no public way to set either.
    """
    task.set_resolver(resolver)
    task.rebuild_args = tuple(args)
    task._name, task._instantiated_in = name, None
    task.reset_command_fn()
    return task


def digest(parts: Sequence[str]) -> str:
    """Six characters that tell apart the tasks of two searches over one objective."""
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:6]


@functools.cache
def trial_task(objective: PythonFunctionTask[Any], mapped: tuple[str, ...], fixed: tuple[str, ...]) -> Any:
    """The objective with the same settings, whose inputs are references and whose output is a report.

    Args:
        objective: the user's task.
        mapped: names of the inputs that differ from trial to trial.
        fixed: names of the inputs that a batch shares.
    """
    task = copy.copy(objective)
    _, module, name, _ = extract_task_module(objective)
    natives = objective.python_interface.inputs
    inputs = {
        TRIAL: by_reference(dict),
        STUDY: by_reference(dict),
        **{n: by_reference(natives[n]) for n in (*mapped, *fixed)},
    }
    interface = Interface(inputs, {"o0": TrialReport})
    # A copy, because plugins' tasks are of classes of their own, and each constructs itself in a way of its own.
    task._python_interface = task._native_interface = interface
    task._interface = transform_interface_to_typed_interface(interface)
    task._task_function = _function(objective, natives)
    if objective.metadata.cache:
        task._metadata = dataclasses.replace(
            objective.metadata,
            cache_version=f"{objective.metadata.cache_version}-report{FORMAT}",
            cache_ignore_input_vars=(*objective.metadata.cache_ignore_input_vars, *RESERVED),
        )
    args = ("flyteoptuna.trials:rebuild", module, name, joined(mapped), joined(fixed))
    return adopt(task, f"{objective.name}.trial-{digest(args)}", args)


def joined(names: Sequence[str]) -> str:
    """Names as one argument of a container's command, where an empty one is easily lost."""
    return ",".join(names) or "-"


def split(text: str) -> tuple[str, ...]:
    """The names that :func:`joined` wrote."""
    return () if text == "-" else tuple(text.split(","))


def find(module: str, name: str) -> Any:
    """The objective or the callback of that name, which an optimizer may stand in the place of."""
    found = getattr(importlib.import_module(module), name)
    return getattr(found, "objective", found)


def check_objective(objective: Any) -> PythonFunctionTask[Any]:
    """The objective, if it is a task that can be mapped and whose result can be told to a study.

    Raises:
        TypeError: it is no plain task, or does not return floats.
        ValueError: one of its inputs has a name that is reserved.
    """
    plain = isinstance(objective, PythonFunctionTask) and not isinstance(objective, ReferenceTask)
    if not plain or objective.execution_mode != PythonFunctionTask.ExecutionBehavior.DEFAULT:
        raise TypeError(
            f"`objective` must be a plain @task, but got {objective!r} ({type(objective).__name__}): workflows, launch "
            "plans, dynamic, eager and reference tasks cannot be mapped."
        )
    outputs = list(objective.python_interface.outputs.values())
    if not outputs or any(kind is not float for kind in outputs):
        raise TypeError(
            f"`objective` must return a float or a tuple of floats, but {objective.name} returns "
            f"{', '.join(getattr(kind, '__name__', str(kind)) for kind in outputs) or 'nothing'}."
        )
    for name in RESERVED:
        if name in objective.python_interface.inputs:
            raise ValueError(f"An objective must not have an input named `{name}`, but {objective.name} has.")
    return objective


def rebuild(module: str, name: str, mapped: str, fixed: str) -> Any:
    """The trial task in a fresh process; the arguments are those that :func:`trial_task` gave the resolver."""
    return trial_task(find(module, name), split(mapped), split(fixed))


@functools.cache
def map_task(task: Any, fixed: tuple[str, ...], concurrency: int) -> ArrayNodeMapTask:
    """The map over a batch: with a success ratio of 0 it may lose every trial and still succeed."""
    mapped = ArrayNodeMapTask(task, concurrency=concurrency, min_success_ratio=0.0, bound_inputs={STUDY, *fixed})
    # Flytekit names a map after the module and the function, which two searches over one objective share.
    mapped._name = mapped.sub_node_metadata._name = task.name
    return mapped


def _function(objective: PythonFunctionTask[Any], natives: Mapping[str, Any]) -> Callable[..., Any]:
    function, n_values = objective.task_function, arity(objective)

    def prepared(inputs: dict[str, Any]) -> tuple[TrialReport, ActiveTrial, int, Reference, dict[str, Any]]:
        handle, study = unpacked(inputs.pop(TRIAL).literal), inputs.pop(STUDY)
        report = TrialReport(trial=int(handle["number"]), key=handle["key"])
        active = ActiveTrial(report.trial, handle["params"], Decision(study))
        return report, active, int(handle["room"]), study, inputs

    def values(inputs: Mapping[str, Any]) -> dict[str, Any]:
        return {k: v.read(natives[k]) if isinstance(v, Reference) else v for k, v in inputs.items()}

    def sent(report: TrialReport, study: Reference) -> TrialReport:
        if report.state != "COMPLETE" and objective.metadata.cache and not is_local():
            reports.leave(report, study)
        return report

    def sync(**inputs: Any) -> TrialReport:
        report, active, room, study, given = prepared(inputs)
        with recording(report, active, room, _passes()) as returned:
            returned(function(**values(given)), n_values)
        return sent(report, study)

    async def awaited(**inputs: Any) -> TrialReport:
        report, active, room, study, given = prepared(inputs)
        with recording(report, active, room, _passes()) as returned:
            returned(await function(**values(given)), n_values)
        return sent(report, study)

    return functools.wraps(function)(awaited if isinstance(objective, AsyncPythonFunctionTask) else sync)


def _passes() -> tuple[type[BaseException], ...]:
    # Flyte retries this one; a local run does not, so there it is a failure like any other.
    return () if is_local() else (FlyteRecoverableException,)


class Decision:
    """Asks the study's pruner. The study is read when it is first asked, and optuna imported no earlier."""

    def __init__(self, study: Reference) -> None:
        self._study = study
        self._trial: Any = None
        self._reported: set[int] = set()

    def __call__(self, active: ActiveTrial) -> bool:
        """Whether the pruner would end the trial now. What it keeps with the trial goes into ``system_attrs``."""
        import optuna

        if self._trial is None:
            study = self._study.read(optuna.Study)
            self._trial = optuna.Trial(study, study.get_trials(deepcopy=False)[active.number]._trial_id)
        for step in [step for step in active.intermediate if step not in self._reported]:
            self._trial.report(active.intermediate[step], step)
        self._reported.update(active.intermediate)
        pruned = bool(self._trial.should_prune())
        kept = self._trial.study.get_trials(deepcopy=False)[active.number].system_attrs
        # Successive halving compares a trial with the rungs that others have left in theirs.
        active.system_attrs.update({k: v for k, v in kept.items() if k.startswith("completed_rung")})
        return pruned
