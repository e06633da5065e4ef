"""The trial task, which is the objective with a report for its output, and the map over a batch of them."""

from __future__ import annotations

import contextvars
import copy
import dataclasses
import functools
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

from flytekit.core.array_node_map_task import ArrayNodeMapTask
from flytekit.core.interface import Interface, transform_interface_to_typed_interface
from flytekit.core.python_function_task import AsyncPythonFunctionTask, PythonFunctionTask
from flytekit.exceptions.user import FlyteRecoverableException

from flyteoptuna.core.trial.call_objective import Returns, recording
from flyteoptuna.core.trial.check_report import read_report
from flyteoptuna.core.trial.current_trial import ActiveTrial
from flyteoptuna.core.trial.report import TrialReport
from flyteoptuna.flyte import report_delivery
from flyteoptuna.flyte.objective import RESERVED, STUDY, TRIAL, arity, find, place
from flyteoptuna.flyte.outputs import returns_of
from flyteoptuna.flyte.references import Reference, by_reference, unpacked
from flyteoptuna.flyte.resolver import adopt, digest, joined, split
from flyteoptuna.flyte.types.study_attributes import STUDY_TYPE

FORMAT = 3
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
        STUDY: by_reference(dict, STUDY_TYPE),
        **{n: by_reference(natives[n]) for n in (*mapped, *fixed)},
    }
    interface = Interface(inputs, {"o0": TrialReport})
    # A copy, because plugins' tasks are of classes of their own, and each constructs itself in a way of its own.
    task._python_interface = task._native_interface = interface
    task._interface = transform_interface_to_typed_interface(interface)
    task._task_function = reporting(objective.task_function, objective, again=again)
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


def reporting(
    function: Callable[..., Any], objective: PythonFunctionTask[Any], *, again: bool, returns: Returns | None = None
) -> Callable[..., Any]:
    """A function of a trial's handle, the study and the objective's inputs that returns the trial's report.

    Args:
        function: what is called with the inputs; awaited where the objective is.
        objective: the user's task.
        again: see :func:`trial_task`.
        returns: what the function returns; by default what the objective does.
    """
    natives, n_values = objective.python_interface.inputs, arity(objective)
    returned_is = returns or returns_of(objective)
    passes: tuple[type[BaseException], ...] = (FlyteRecoverableException,) if again else ()
    cached = objective.metadata.cache and again

    def prepared(inputs: dict[str, Any]) -> _Run:
        handle, study = unpacked(inputs.pop(TRIAL).literal), inputs.pop(STUDY)
        report = TrialReport(trial=int(handle["number"]), key=handle["key"])
        decision = Decision(study) if handle["prunes"] else None
        active = ActiveTrial(
            report.trial,
            handle["params"],
            decision,
            n_objectives=n_values,
            study=Directions(handle["directions"]),
        )
        return _Run(report, active, int(handle["room"]), study, inputs, decision)

    def values(inputs: Mapping[str, Any]) -> dict[str, Any]:
        return {k: v.read(natives[k]) if isinstance(v, Reference) else v for k, v in inputs.items()}

    def sent(run: _Run) -> TrialReport:
        if not objective.metadata.cache and run.decision is not None:
            # A report in the cache may be told to a study whose pruner it knows nothing of.
            run.report.pruner = run.decision.learned(run.room)
        # As a driver reads it, and so the same wherever the trial runs.
        report = read_report(vars(run.report), run.active.number, run.report.key)
        if report.state != "COMPLETE" and cached:
            report_delivery.leave(report, run.study)
        return report

    def sync(**inputs: Any) -> TrialReport:
        run = prepared(inputs)
        with recording(run.report, run.active, run.room, passes) as returned:
            returned(function(**values(run.inputs)), returned_is)
        return sent(run)

    async def awaited(**inputs: Any) -> TrialReport:
        run = prepared(inputs)
        with recording(run.report, run.active, run.room, passes) as returned:
            returned(await function(**values(run.inputs)), returned_is)
        return sent(run)

    return functools.wraps(function)(awaited if isinstance(objective, AsyncPythonFunctionTask) else sync)


class _Run(NamedTuple):
    """What is known of a trial before its objective is called."""

    report: TrialReport
    active: ActiveTrial
    room: int
    study: Reference
    inputs: dict[str, Any]
    decision: Decision | None


class Directions:
    """What a trial that runs knows of its study, as the pruning callbacks of other libraries ask for it."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    @property
    def directions(self) -> list[Any]:
        """The directions of the study, as ``optuna.study.StudyDirection``."""
        from optuna.study import StudyDirection

        return [StudyDirection[name] for name in self._names]

    @property
    def direction(self) -> Any:
        """The direction of a study of one objective."""
        if len(self._names) > 1:
            raise RuntimeError("A single direction cannot be retrieved from a multi-objective study.")
        return self.directions[0]

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(
            f"The study of a trial that runs has `direction` and `directions`, and no `{name}`: what is to be known of "
            "its trials has to be an input of the objective."
        )


class Decision:
    """Asks the study's pruner. The study is read when it is first asked, and optuna imported no earlier."""

    def __init__(self, reference: Reference) -> None:
        self._reference = reference
        self._study: Any = None
        self._known = ""
        self._reported: set[int] = set()
        # The threads of an objective may ask, one at a time, and know nothing of flytekit's context.
        self._lock = threading.Lock()
        self._context = contextvars.copy_context()

    def __call__(self, active: ActiveTrial) -> bool:
        """Whether the pruner would end the trial now. What it keeps with the trial is kept with ``active``."""
        with self._lock:
            study = self._read()
            trial = study.get_trials(deepcopy=False)[active.number]
            intermediate = active.intermediate
            for step in [step for step in intermediate if step not in self._reported]:
                study._storage.set_trial_intermediate_value(trial._trial_id, step, intermediate[step])
            self._reported.update(intermediate)
            # Not by a trial of optuna's, which would have the sampler suggest when it is made.
            before = study.get_trials(deepcopy=False)[active.number]
            pruned = bool(study.pruner.prune(study, copy.deepcopy(before)))
            after = study.get_trials(deepcopy=False)[active.number].system_attrs
            # Successive halving compares a trial with the rungs that others have left in theirs.
            active.keep({key: after[key] for key in after if before.system_attrs.get(key, self) != after[key]})
            return pruned

    def _read(self) -> Any:
        import optuna

        from flyteoptuna.study import pruning

        if self._study is None:
            self._study = self._context.copy().run(self._reference.read, optuna.Study)
            self._known = pruning.packed(self._study.pruner)
        return self._study

    def learned(self, room: int) -> str:
        """The pruner, packed, where it has learned in this trial and a report of so much room can hold it."""
        from flyteoptuna.study import pruning

        if self._study is None:
            return ""
        now = pruning.packed(self._study.pruner)
        return now if now != self._known and len(now) <= room else ""
