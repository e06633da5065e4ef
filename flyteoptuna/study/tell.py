"""Tell trials: set the final states of a search's running trials from their reports."""

from __future__ import annotations

import base64
import copy
import json
import math
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from flyteoptuna.internals.optuna_internals import trial_record
from flyteoptuna.study import pruner_state, serialisable_attributes
from flyteoptuna.study.callbacks import call_callback
from flyteoptuna.study.system_attrs import require_search_mark, search_trials, trial_mark
from flyteoptuna.trial.call_objective import outcome_of_exception
from flyteoptuna.trial.check_report import UNKNOWN_TRIAL
from flyteoptuna.trial.marks import OUTPUTS_ATTRIBUTE, search_number
from flyteoptuna.trial.report import ERROR_ATTRIBUTE, ReportingTrial, TrialReport, match_reports

Callbacks = Sequence[Callable[..., None]]

# Reason of a trial that was still running when a later search began.
INTERRUPTED = "interrupted: the search that asked the trial ended before it was told."


def _expected_reports(running: Sequence[FrozenTrial]) -> list[ReportingTrial]:
    marks = [(trial.number, trial_mark(trial)) for trial in running]
    return [ReportingTrial(number, mark.key, mark.cached) for number, mark in marks if not mark.state]


def without_report(study: optuna.Study, reports: Iterable[TrialReport | None]) -> list[ReportingTrial]:
    """Running trials of the search that none of these reports belongs to."""
    expected = _expected_reports(search_trials(study, TrialState.RUNNING))
    matched = match_reports(reports, expected)
    return [trial for trial in expected if trial.number not in matched]


def tell_trials(
    study: optuna.Study,
    reports: Iterable[TrialReport | None],
    callbacks: Callbacks = (),
    *,
    trusted: bool = False,
    numbers: Collection[int] | None = None,
) -> int:
    """Tell running trials of the search, all or those of ``numbers``, in trial order; returns their number.

    A trial without a valid report fails. Each callback is called with the study and each told trial, until one raises.
    ``trusted`` allows to unpickle the pruners in the reports.

    Raises:
        TypeError: a callback set an attribute of the study that cannot be serialised. The attribute is restored.
        BaseException: an exception of a callback, raised after every trial has been told.
    """
    reports = list(reports)
    # Not among all trials where the numbers are known, because workers tell one trial at a time.
    asked = (
        search_trials(study, TrialState.RUNNING)
        if numbers is None
        else [trial_record(study, n) for n in sorted(numbers)]
    )
    trials = [t for t in asked if t.state == TrialState.RUNNING]
    matched = match_reports(reports, _expected_reports(trials))
    unread = next((report.error for report in reports if report is not None and report.trial == UNKNOWN_TRIAL), "")
    _tell(study, [(t, matched.get(t.number) or _missing_report(t, unread)) for t in trials], callbacks, trusted=trusted)
    return len(trials)


def fail_interrupted_trials(study: optuna.Study, callbacks: Callbacks = ()) -> None:
    """Fail the trials of earlier searches that are still running. Trials that no search asked go on."""
    count = require_search_mark(study).count
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    asked = [t for t in running if search_number(t.system_attrs) not in (None, count)]
    _tell(study, [(t, TrialReport(t.number, error=INTERRUPTED)) for t in asked], callbacks)


def _missing_report(trial: FrozenTrial, unread: str) -> TrialReport:
    """Report of a trial that sent none: a failure, unless its mark says how it ends."""
    mark = trial_mark(trial)
    if mark.state:
        return TrialReport(trial.number, state=mark.state, error=mark.error)
    origin = f"worker {mark.worker}" if mark.generation is None else f"generation {mark.generation}"
    timeout = "" if mark.timeout is None else f"it was ended by its timeout of {mark.timeout:g} s, "
    lost = (
        f"Trial {trial.number} ({origin}) sent no report: {timeout}its pod died, or its output "
        "was lost. Flyte keeps the pod's log and error with that element of the map."
    )
    if unread:
        lost += f" A report of the batch does not say whose it is. {unread}"
    return TrialReport(trial.number, error=lost)


def _tell(
    study: optuna.Study,
    pairs: Sequence[tuple[FrozenTrial, TrialReport]],
    callbacks: Callbacks,
    *,
    trusted: bool = False,
) -> None:
    attributes, errors = serialisable_attributes.AttributeGuard(study), list[BaseException]()
    for trial, report in pairs:
        try:
            _tell_trial(study, trial, report, trusted=trusted)
        except KeyboardInterrupt as error:
            errors.append(error)
            _tell_trial(study, trial, report, trusted=trusted)
        # After an error the other trials are told all the same, without callbacks.
        if not errors:
            try:
                _run_callbacks(callbacks, study, trial.number)
            except BaseException as error:
                errors.append(error)
            if callbacks and (lost := attributes.restore_unserialisable()):
                errors.append(TypeError(lost))
    if not callbacks and pairs:
        attributes.restore_unserialisable()
    if errors:
        raise errors[0]


def _run_callbacks(callbacks: Callbacks, study: optuna.Study, number: int) -> None:
    if not callbacks:
        return
    frozen, known = copy.deepcopy(trial_record(study, number)), len(study.get_trials(deepcopy=False))
    try:
        for callback in callbacks:
            call_callback(callback, study, frozen)
    finally:
        for added in range(known, len(study.get_trials(deepcopy=False))):
            if lost := serialisable_attributes.drop_unserialisable(study, added):
                finished = trial_record(study, added).state.is_finished()
                record_loss = serialisable_attributes.set_error if finished else serialisable_attributes.fail_trial
                record_loss(study, added, lost)


def _tell_trial(study: optuna.Study, trial: FrozenTrial, report: TrialReport, *, trusted: bool) -> None:
    """Tell one trial its state, values, attributes and times; an exception while it is told fails it."""
    record = trial_record(study, trial.number)
    if record.state != TrialState.RUNNING:
        # A callback has told it.
        return
    if trusted and report.pruner:
        pruner_state.restore_pruner(study, report.pruner)
    state, values, error = _final_state(study, report)
    record.user_attrs = {**record.user_attrs, **json.loads(report.user_attrs)}
    record.system_attrs = {**record.system_attrs, **json.loads(report.system_attrs)}
    reported = dict(zip(report.steps, report.intermediate, strict=True))
    # The first value of a step counts; a callback may have reported one when the trial was asked.
    record.intermediate_values = {**reported, **record.intermediate_values}
    if error:
        record.user_attrs[ERROR_ATTRIBUTE] = error
    try:
        # Constraint functions run here, and read the trial's attributes.
        study.tell(trial.number, values, state=TrialState[state])
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        _record_tell_error(study, trial.number, error)
    if lost := serialisable_attributes.drop_unserialisable(study, trial.number):
        serialisable_attributes.fail_trial(study, trial.number, lost)
    told = trial_record(study, trial.number)
    if report.outputs and told.state != TrialState.FAIL:
        outputs = {name: base64.b64encode(data).decode() for name, data in report.outputs.items()}
        told.system_attrs = {**told.system_attrs, OUTPUTS_ATTRIBUTE: outputs}
    if report.start:
        # `study.tell` sets the end to the present.
        told.datetime_start = datetime.fromtimestamp(report.start)
        told.datetime_complete = datetime.fromtimestamp(report.end)


def _final_state(study: optuna.Study, report: TrialReport) -> tuple[str, list[float] | None, str]:
    if report.state != "COMPLETE":
        return report.state, None, report.error
    wanted, values = len(study.directions), report.values
    if len(values) == wanted and not any(map(math.isnan, values)):
        return report.state, values, report.error
    return "FAIL", None, f"The study has {wanted} direction(s), but the objective returned {values}."


def _record_tell_error(study: optuna.Study, number: int, error: BaseException) -> None:
    """Record an exception of the sampler or of the constraints that ``study.tell`` raised."""
    record = trial_record(study, number)
    constraints: Any = record.system_attrs.get("constraints", ())
    if not record.state.is_finished() or constraints is None:
        # Optuna stores None for unknown constraints, and a trial of unknown feasibility fails.
        record.system_attrs.pop("constraints", None)
        serialisable_attributes.fail_trial(study, number, f"It cannot be told. {outcome_of_exception(error)[1]}")
    else:
        # Optuna has stored the result before its sampler raised, and the result counts.
        serialisable_attributes.set_error(
            study, number, f"It was told, but its sampler raised. {outcome_of_exception(error)[1]}"
        )
