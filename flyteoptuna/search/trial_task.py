"""The trial task, which is the objective with a report for its output, and the map over a batch of them."""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

from flytekit.core.array_node_map_task import ArrayNodeMapTask
from flytekit.core.interface import Interface, transform_interface_to_typed_interface
from flytekit.core.python_function_task import AsyncPythonFunctionTask, PythonFunctionTask
from flytekit.exceptions.user import FlyteRecoverableException

from flyteoptuna.core.active_trial import ActiveTrial
from flyteoptuna.core.recording import recording
from flyteoptuna.core.report import TrialReport
from flyteoptuna.flyte import report_type
from flyteoptuna.flyte.objective import RESERVED, STUDY, TRIAL, arity, find, place
from flyteoptuna.flyte.references import Reference, by_reference, unpacked
from flyteoptuna.flyte.resolver import adopt, digest, joined, split

FORMAT = 1
"""Version of the report. It is part of the cache version, for a cached report must be one that is understood."""


@functools.cache
def trial_task(
    objective: PythonFunctionTask[Any], mapped: tuple[str, ...], fixed: tuple[str, ...], again: bool = True
) -> Any:
    """The objective with the same settings, whose inputs are references and whose output is a report.

    Args:
        objective: the user's task.
        mapped: names of the inputs that differ from trial to trial.
        fixed: names of the inputs that a batch shares.
        again: whether what runs the task runs it again where the user has said so: retries it, and takes its output
            from a cache. Flyte does; where nothing does, what is to be retried is a failure.
    """
    task = copy.copy(objective)
    module, name = place(objective)
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
    task._task_function = _function(objective, natives, again)
    if objective.metadata.cache:
        task._metadata = dataclasses.replace(
            objective.metadata,
            cache_version=f"{objective.metadata.cache_version}-report{FORMAT}",
            cache_ignore_input_vars=(*objective.metadata.cache_ignore_input_vars, *RESERVED),
        )
    args = ("flyteoptuna.search.trial_task:rebuild", module, name, joined(mapped), joined(fixed))
    return adopt(task, f"{objective.name}.trial-{digest(args)}", args)


def rebuild(module: str, name: str, mapped: str, fixed: str, *, again: bool = True) -> Any:
    """The trial task in a fresh process; the arguments are those that :func:`trial_task` gave the resolver."""
    return trial_task(find(module, name), split(mapped), split(fixed), again)


@functools.cache
def map_task(task: Any, fixed: tuple[str, ...], concurrency: int) -> ArrayNodeMapTask:
    """The map over a batch: with a success ratio of 0 it may lose every trial and still succeed."""
    mapped = ArrayNodeMapTask(task, concurrency=concurrency, min_success_ratio=0.0, bound_inputs={STUDY, *fixed})
    # Flytekit names a map after the module and the function, which two searches over one objective share.
    mapped._name = mapped.sub_node_metadata._name = task.name
    return mapped


def _function(objective: PythonFunctionTask[Any], natives: Mapping[str, Any], again: bool) -> Callable[..., Any]:
    function, n_values = objective.task_function, arity(objective)
    passes: tuple[type[BaseException], ...] = (FlyteRecoverableException,) if again else ()
    cached = objective.metadata.cache and again

    def prepared(inputs: dict[str, Any]) -> tuple[TrialReport, ActiveTrial, int, Reference, dict[str, Any]]:
        handle, study = unpacked(inputs.pop(TRIAL).literal), inputs.pop(STUDY)
        report = TrialReport(trial=int(handle["number"]), key=handle["key"])
        active = ActiveTrial(report.trial, handle["params"], Decision(study) if handle["prunes"] else None)
        return report, active, int(handle["room"]), study, inputs

    def values(inputs: Mapping[str, Any]) -> dict[str, Any]:
        return {k: v.read(natives[k]) if isinstance(v, Reference) else v for k, v in inputs.items()}

    def sent(report: TrialReport, study: Reference) -> TrialReport:
        if report.state != "COMPLETE" and cached:
            report_type.leave(report, study)
        return report

    def sync(**inputs: Any) -> TrialReport:
        report, active, room, study, given = prepared(inputs)
        with recording(report, active, room, passes) as returned:
            returned(function(**values(given)), n_values)
        return sent(report, study)

    async def awaited(**inputs: Any) -> TrialReport:
        report, active, room, study, given = prepared(inputs)
        with recording(report, active, room, passes) as returned:
            returned(await function(**values(given)), n_values)
        return sent(report, study)

    return functools.wraps(function)(awaited if isinstance(objective, AsyncPythonFunctionTask) else sync)


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
