"""The trial task: a copy of the objective that takes references and returns a report."""

from __future__ import annotations

import contextvars
import copy
import dataclasses
import functools
import threading
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from flytekit.core.interface import Interface
from flytekit.core.python_function_task import AsyncPythonFunctionTask, PythonFunctionTask
from flytekit.exceptions.user import FlyteRecoverableException

from flyteoptuna.flyte import report_transport
from flyteoptuna.flyte.literal_hashes import NO_HASHES, HashedInputs
from flyteoptuna.flyte.objective import RESERVED, STUDY, TRIAL, import_location, import_origin, n_objective_values
from flyteoptuna.flyte.outputs import objective_outputs
from flyteoptuna.flyte.references import Reference, by_reference
from flyteoptuna.flyte.resolver import decode_names, encode_names, name_task, short_digest
from flyteoptuna.flyte.types.study_attributes import STUDY_TYPE
from flyteoptuna.internals.flytekit_internals import clone_task
from flyteoptuna.trial.call_objective import ObjectiveOutputs, record_trial
from flyteoptuna.trial.check_report import parse_report
from flyteoptuna.trial.current_trial import ActiveTrial
from flyteoptuna.trial.report import TrialReport

# Version of the report. It is part of the cache version, so that no cached report has another format.
REPORT_FORMAT = 3


@functools.cache
def trial_task(
    objective: PythonFunctionTask[Any],
    mapped: tuple[str, ...],
    fixed: tuple[str, ...],
    on_flyte: bool = True,
    hashed: HashedInputs = NO_HASHES,
) -> Any:
    """Return the trial task of an objective: the same settings, references as inputs, a report as output.

    Args:
        objective: the user's task.
        mapped: names of the inputs that differ from trial to trial.
        fixed: names of the inputs that all trials of a batch share.
        on_flyte: Flyte runs the task, and retries or caches it as the user has said. A local run does neither, and an
            exception that asks for a retry fails the trial.
        hashed: those of the fixed inputs that have hashes. They are part of the cache version, because Flyte binds the
            inputs as constants, which have none.
    """
    module, name = import_location(objective)
    natives = objective.python_interface.inputs
    inputs = {
        TRIAL: by_reference(dict),
        STUDY: by_reference(dict, STUDY_TYPE),
        **{n: by_reference(natives[n]) for n in (*mapped, *fixed)},
    }
    metadata = objective.metadata
    if metadata.cache:
        version = f"{metadata.cache_version}-report{REPORT_FORMAT}"
        ignored = (*metadata.cache_ignore_input_vars, *RESERVED, *hashed.names)
        metadata = dataclasses.replace(
            metadata,
            cache_version="-".join(filter(None, (version, hashed.digest))),
            cache_ignore_input_vars=tuple(dict.fromkeys(ignored)),
        )
    function = report_function(objective.task_function, objective, on_flyte=on_flyte)
    task = clone_task(objective, interface=Interface(inputs, {"o0": TrialReport}), function=function, metadata=metadata)
    args = ("flyteoptuna.search.trial_task:rebuild_trial_task", module, name, encode_names(mapped), encode_names(fixed))
    return name_task(task, f"{objective.name}.trial-{short_digest(args)}", args)


def rebuild_trial_task(module: str, name: str, mapped: str, fixed: str, *, on_flyte: bool = True) -> Any:
    """Rebuild a trial task in another process, from the arguments that ``trial_task`` gave the resolver."""
    return trial_task(import_origin(module, name), decode_names(mapped), decode_names(fixed), on_flyte)


def report_function(
    function: Callable[..., Any],
    objective: PythonFunctionTask[Any],
    *,
    on_flyte: bool,
    outputs: ObjectiveOutputs | None = None,
) -> Callable[..., Any]:
    """Wrap a function so that it takes a trial's handle, the study and the inputs, and returns the trial's report.

    Args:
        function: called with the inputs; awaited if the objective is async.
        objective: the user's task.
        on_flyte: as in ``trial_task``.
        outputs: outputs of the function. Default: those of the objective.
    """
    n_values, outputs = n_objective_values(objective), outputs or objective_outputs(objective)
    reraised: tuple[type[BaseException], ...] = (FlyteRecoverableException,) if on_flyte else ()

    def sync(**inputs: Any) -> TrialReport:
        call = _TrialCall(objective, inputs, n_values)
        with record_trial(call.report, call.active, call.handle.byte_limit, reraised) as record:
            record(function(**call.values()), outputs)
        return call.finish(on_flyte=on_flyte)

    async def awaited(**inputs: Any) -> TrialReport:
        call = _TrialCall(objective, inputs, n_values)
        with record_trial(call.report, call.active, call.handle.byte_limit, reraised) as record:
            record(await function(**call.values()), outputs)
        return call.finish(on_flyte=on_flyte)

    return functools.wraps(function)(awaited if isinstance(objective, AsyncPythonFunctionTask) else sync)


class _TrialCall:
    """One call of an objective for a trial."""

    def __init__(self, objective: PythonFunctionTask[Any], inputs: dict[str, Any], n_values: int) -> None:
        self.handle = report_transport.read_handle(inputs.pop(TRIAL))
        self._study: Reference = inputs.pop(STUDY)
        self._objective, self._inputs = objective, inputs
        self.report = TrialReport(self.handle.number, self.handle.key)
        self._decision = PruningDecision(self._study) if self.handle.prunes else None
        self.active = ActiveTrial(
            self.handle.number,
            self.handle.params,
            self._decision,
            n_objectives=n_values,
            study=StudyDirections(self.handle.directions),
        )

    def values(self) -> dict[str, Any]:
        """Read the inputs of the objective."""
        types = self._objective.python_interface.inputs
        return {k: v.read(types[k]) if isinstance(v, Reference) else v for k, v in self._inputs.items()}

    def finish(self, *, on_flyte: bool) -> TrialReport:
        """Return the report. If the trial failed and Flyte would cache the output, write it to a file and raise."""
        cached = self._objective.metadata.cache
        if not cached and self._decision is not None:
            # A cached report may be told to another study, whose pruner has learned other things.
            self.report.pruner = self._decision.learned_pruner(self.handle.byte_limit)
        # Parsed as a driver does, so that a report is the same wherever its trial runs.
        report = parse_report(vars(self.report), self.handle.number, self.handle.key)
        if report.state != "COMPLETE" and cached and on_flyte:
            report_transport.write_failure_report(report, self._study)
        return report


class StudyDirections:
    """Stand-in for the study with its directions only, for the pruning callbacks of other libraries."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    @property
    def directions(self) -> list[Any]:
        """Directions, as ``optuna.study.StudyDirection``."""
        from optuna.study import StudyDirection

        return [StudyDirection[name] for name in self._names]

    @property
    def direction(self) -> Any:
        """Direction of a study with one objective."""
        if len(self._names) > 1:
            raise RuntimeError("A single direction cannot be retrieved from a multi-objective study.")
        return self.directions[0]

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(
            f"The study of a trial that runs has `direction` and `directions`, and no `{name}`: what is to be known of "
            "its trials has to be an input of the objective."
        )


class PruningDecision:
    """Asks the study's pruner whether to prune a running trial.

    The study is read, and Optuna imported, when the objective first calls ``should_prune``.
    """

    def __init__(self, reference: Reference) -> None:
        self._reference = reference
        self._study: Any = None
        self._sent_pruner = ""
        self._reported: set[int] = set()
        # Threads of an objective may ask one at a time, and have no context of flytekit's.
        self._lock = threading.Lock()
        self._context = contextvars.copy_context()

    def __call__(self, active: ActiveTrial) -> bool:
        """Ask the pruner. System attributes that it sets on the trial are set on ``active``."""
        from flyteoptuna.internals.optuna_internals import set_intermediate_value

        with self._lock:
            study = self._read_study()
            trial = study.get_trials(deepcopy=False)[active.number]
            intermediate = active.intermediate
            for step in [step for step in intermediate if step not in self._reported]:
                set_intermediate_value(study, trial, step, intermediate[step])
            self._reported.update(intermediate)
            # Not through an `optuna.Trial`, whose constructor lets the sampler suggest.
            before = study.get_trials(deepcopy=False)[active.number]
            pruned = bool(study.pruner.prune(study, copy.deepcopy(before)))
            after = study.get_trials(deepcopy=False)[active.number].system_attrs
            # Successive halving compares a trial with the rungs in the system attributes of others.
            active.set_system_attrs({k: after[k] for k in after if before.system_attrs.get(k, self) != after[k]})
            return pruned

    def _read_study(self) -> Any:
        import optuna

        from flyteoptuna.study.pruner_state import serialise_pruner

        if self._study is None:
            self._study = self._context.copy().run(self._reference.read, optuna.Study)
            self._sent_pruner = serialise_pruner(self._study.pruner)
        return self._study

    def learned_pruner(self, byte_limit: int) -> str:
        """Serialise the pruner; empty if it has learned nothing in this trial, or is too large for a report."""
        from flyteoptuna.study.pruner_state import serialise_pruner

        if self._study is None:
            return ""
        pruner = serialise_pruner(self._study.pruner)
        return pruner if pruner != self._sent_pruner and len(pruner) <= byte_limit else ""
