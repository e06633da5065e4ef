"""The trial task: a copy of the objective that takes references and returns a report."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

from flytekit.core.base_task import IgnoreOutputs
from flytekit.core.context_manager import ExecutionParameters
from flytekit.core.interface import Interface
from flytekit.core.python_function_task import PythonFunctionTask
from flytekit.exceptions.user import FlyteRecoverableException

from flyteoptuna.errors import StoreError
from flyteoptuna.flyte.literal_hashes import NO_HASHES, HashedInputs
from flyteoptuna.flyte.objective import RESERVED, STUDY, TRIAL, import_location, import_origin
from flyteoptuna.flyte.references import by_reference
from flyteoptuna.flyte.report_transport import write_failure_report
from flyteoptuna.flyte.resolver import decode_names, encode_names, name_task, short_digest
from flyteoptuna.flyte.trial_context import local_call, pod_call
from flyteoptuna.flyte.types.study_attributes import STUDY_TYPE
from flyteoptuna.internals.flytekit_internals import clone_task
from flyteoptuna.search.outages import recoverable
from flyteoptuna.search.run_objective import run_objective
from flyteoptuna.trial.report import TrialReport

# Version of the report. It is part of the cache version, so that no cached report has another format.
REPORT_FORMAT = 3
# Exceptions of a trial in a pod that are Flyte's: another attempt, after an outage too; another pod outputs the result.
FOR_FLYTE = (FlyteRecoverableException, StoreError, IgnoreOutputs)
# Type of the tasks that run in one pod.
ONE_POD = "python-task"


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
    task = clone_task(objective, interface=Interface(inputs, {"o0": TrialReport}), metadata=metadata)
    # A plugin may call the function in several processes, and in each of them an exception has to be raised. So the
    # report is made around all that the plugin does.
    task.execute = functools.partial(_run_in_pod if on_flyte else _run_here, objective)
    task.pre_execute, task.post_execute = _unchanged_params, _unchanged_result
    args = ("flyteoptuna.search.trial_task:rebuild_trial_task", module, name, encode_names(mapped), encode_names(fixed))
    return name_task(task, f"{objective.name}.trial-{short_digest(args)}", args)


def rebuild_trial_task(module: str, name: str, mapped: str, fixed: str, *, on_flyte: bool = True) -> Any:
    """Rebuild a trial task in another process, from the arguments that ``trial_task`` gave the resolver."""
    return trial_task(import_origin(module, name), decode_names(mapped), decode_names(fixed), on_flyte)


def _run_here(objective: PythonFunctionTask[Any], **inputs: Any) -> TrialReport:
    return run_objective(objective, inputs, local_call(objective))


def _run_in_pod(objective: PythonFunctionTask[Any], **inputs: Any) -> TrialReport:
    with recoverable():
        report = run_objective(objective, inputs, pod_call(objective), FOR_FLYTE)
    # Flyte would cache the report. A plugin may start several pods with this command, and Flyte reads the outputs of
    # one of them, but the errors of all.
    if report.state != "COMPLETE" and (objective.metadata.cache or objective.task_type != ONE_POD):
        write_failure_report(report, inputs[STUDY])
    return report


def _unchanged_params(params: ExecutionParameters) -> ExecutionParameters:
    return params


def _unchanged_result(params: ExecutionParameters, result: Any) -> Any:
    return result
