"""Run one trial: call the objective's task with the work of its plugin, and turn every outcome into a report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from flytekit.core.python_function_task import PythonFunctionTask

from flyteoptuna.flyte import report_transport
from flyteoptuna.flyte.objective import STUDY, TRIAL, n_objective_values
from flyteoptuna.flyte.outputs import objective_outputs
from flyteoptuna.flyte.references import Reference
from flyteoptuna.flyte.transfers import retry_transfers
from flyteoptuna.flyte.trial_context import plugin_context
from flyteoptuna.search.pruning import start_trial
from flyteoptuna.search.ranks import Ranks
from flyteoptuna.trial.call_objective import ObjectiveOutputs, record_trial
from flyteoptuna.trial.check_report import parse_report
from flyteoptuna.trial.current_trial import ActiveTrial
from flyteoptuna.trial.report import TrialReport


def run_objective(
    objective: PythonFunctionTask[Any],
    inputs: Mapping[str, Any],
    context: AbstractContextManager[None],
    passes: tuple[type[BaseException], ...] = (),
) -> TrialReport:
    """Run a trial as flytekit runs a task, and return its report.

    Args:
        objective: the user's task.
        inputs: the trial's handle, the study, and the objective's inputs as references or values.
        context: the context of flytekit's in which a call of the task runs.
        passes: exceptions that are raised instead of reported.
    """
    call = _TrialCall(objective, inputs)
    with (
        Ranks(call.handle, call.study, objective) as ranks,
        record_trial(call.report, call.active, call.handle.byte_limit, passes, ranks.outcome) as record,
        context,
    ):
        task = ranks.task()
        with plugin_context(task) as params:
            values = call.values()
            try:
                result = task.execute(**values)
            finally:
                call.learned_pruner = ranks.collect_records(call.active)
            record(task.post_execute(params, result), objective_outputs(objective))
    return call.finish()


def run_function(
    function: Callable[..., Any],
    objective: PythonFunctionTask[Any],
    inputs: Mapping[str, Any],
    outputs: ObjectiveOutputs,
) -> TrialReport:
    """Call a function with the inputs of a trial in place of its objective, and return the report.

    Args:
        function: called with the objective's inputs.
        objective: the user's task.
        inputs: as in ``run_objective``.
        outputs: outputs of the function.
    """
    call = _TrialCall(objective, inputs)
    with record_trial(call.report, call.active, call.handle.byte_limit) as record:
        record(function(**call.values()), outputs)
    return call.finish()


class _TrialCall:
    """One call of an objective for a trial."""

    def __init__(self, objective: PythonFunctionTask[Any], inputs: Mapping[str, Any]) -> None:
        self._objective, self._inputs = objective, dict(inputs)
        self.handle = report_transport.read_handle(self._inputs.pop(TRIAL))
        self.study: Reference = self._inputs.pop(STUDY)
        self.report = TrialReport(self.handle.number, self.handle.key)
        self.active, self._decision = start_trial(ActiveTrial, self.handle, self.study, n_objective_values(objective))
        self.learned_pruner = ""  # in a rank, as in the report

    def values(self) -> dict[str, Any]:
        """Read the inputs of the objective."""
        return {k: self._read(k, v) if isinstance(v, Reference) else v for k, v in self._inputs.items()}

    def _read(self, name: str, value: Reference) -> Any:
        python_type = self._objective.python_interface.inputs[name]
        return retry_transfers(lambda: f"The input `{name}` cannot be read", lambda: value.read(python_type))

    def finish(self) -> TrialReport:
        """Return the report."""
        if not self._objective.metadata.cache and self._decision is not None:
            # A cached report may be told to another study, whose pruner has learned other things.
            self.report.pruner = self._decision.learned_pruner(self.handle.byte_limit) or self.learned_pruner
        # Parsed as a driver does, so that a report is the same wherever its trial runs.
        return parse_report(vars(self.report), self.handle.number, self.handle.key)
