"""Telling a batch: every running trial of a search gets its final state, whatever its report says."""

from __future__ import annotations

import base64
import copy
import json
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from flyteoptuna.core.trial.call_objective import raised
from flyteoptuna.core.trial.check_report import UNKNOWN
from flyteoptuna.core.trial.report import ERROR_ATTRIBUTE, Expected, TrialReport, match
from flyteoptuna.study import pruning, unsavable
from flyteoptuna.study.system_attrs import (
    OUTPUTS_ATTRIBUTE,
    SEARCH_ATTRIBUTE,
    TRIAL_ATTRIBUTE,
    own,
    record_of,
    study_attr,
)

Callbacks = Sequence[Callable[..., None]]

INTERRUPTED = "interrupted: the search that asked the trial ended before it was told."
"""Why a trial failed that an earlier search has left running."""


def _expected(running: Sequence[FrozenTrial]) -> list[Expected]:
    marks = [(t.number, t.system_attrs[TRIAL_ATTRIBUTE]) for t in running]
    return [
        Expected(number, mark.get("key", ""), bool(mark.get("cached"))) for number, mark in marks if "state" not in mark
    ]


def unheard(study: optuna.Study, reports: Iterable[TrialReport | None]) -> list[Expected]:
    """The running trials that none of the reports belongs to."""
    expected = _expected(own(study, TrialState.RUNNING))
    matched = match(reports, expected)
    return [trial for trial in expected if trial.number not in matched]


def tell(
    study: optuna.Study,
    reports: Iterable[TrialReport | None],
    callbacks: Callbacks = (),
    *,
    trusted: bool = False,
    numbers: Collection[int] | None = None,
) -> int:
    """Tell every running trial of the search, in trial order, whatever its report says; without one it has failed.

    Args:
        study: the study, in memory.
        reports: what its trials have sent.
        callbacks: called with the study and each trial that has been told, until one raises.
        trusted: whether to unpickle what a pruner has learned in the trials.
        numbers: the trials to tell; None for all that run.

    Returns:
        The number of trials told.

    Raises:
        TypeError: a callback left an attribute of the study that cannot be saved. It has been put back.
        BaseException: what a callback has raised. Every trial has been told by then.
    """
    reports = list(reports)
    # By number where they are known, for workers tell one trial at a time.
    asked = own(study, TrialState.RUNNING) if numbers is None else [record_of(study, n) for n in sorted(numbers)]
    trials = [t for t in asked if t.state == TrialState.RUNNING]
    matched = match(reports, _expected(trials))
    unread = next((report.error for report in reports if report is not None and report.trial == UNKNOWN), "")
    _tell(study, [(t, matched.get(t.number) or _without_report(t, unread)) for t in trials], callbacks, trusted=trusted)
    return len(trials)


def interrupted(study: optuna.Study, callbacks: Callbacks = ()) -> None:
    """Tell the trials that earlier searches have left running that they failed; those that no search asked stay.

    Args:
        study: the study, in which a search has begun.
        callbacks: as for :func:`tell`; one may enqueue the trial again.
    """
    count, none = study_attr(study, SEARCH_ATTRIBUTE)["count"], {"search": None}
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    asked = [t for t in running if t.system_attrs.get(TRIAL_ATTRIBUTE, none)["search"] not in (None, count)]
    _tell(study, [(t, TrialReport(t.number, error=INTERRUPTED)) for t in asked], callbacks)


def _without_report(trial: FrozenTrial, unread: str) -> TrialReport:
    mark = trial.system_attrs[TRIAL_ATTRIBUTE]
    timeout = f"it was ended by its timeout of {mark['timeout']:g} s, " if "timeout" in mark else ""
    lost = (
        f"Trial {trial.number} ({_asked_by(mark)}) sent no report: {timeout}its pod died, or its output "
        "was lost. Flyte keeps the pod's log and error with that element of the map."
    )
    if unread:
        lost += f" A report of the batch does not say whose it is. {unread}"
    return TrialReport(trial.number, state=mark.get("state", "FAIL"), error=mark.get("error", lost))


def _asked_by(mark: Mapping[str, Any]) -> str:
    return f"generation {mark['generation']}" if "generation" in mark else f"worker {mark.get('worker')}"


def _tell(
    study: optuna.Study,
    pairs: Sequence[tuple[FrozenTrial, TrialReport]],
    callbacks: Callbacks,
    *,
    trusted: bool = False,
) -> None:
    attributes, ended = unsavable.Attributes(study), list[BaseException]()
    for trial, report in pairs:
        try:
            _tell_one(study, trial, report, trusted=trusted)
        except KeyboardInterrupt as error:
            ended.append(error)
            _tell_one(study, trial, report, trusted=trusted)
        # What ends the search has to wait: what has run is told.
        if not ended:
            try:
                _call(callbacks, study, trial.number)
            except BaseException as error:
                ended.append(error)
            if callbacks and (lost := attributes.check()):
                ended.append(TypeError(lost))
    if not callbacks and pairs:
        attributes.check()
    if ended:
        raise ended[0]


def _call(callbacks: Callbacks, study: optuna.Study, number: int) -> None:
    if not callbacks:
        return
    frozen, known = copy.deepcopy(record_of(study, number)), len(study.get_trials(deepcopy=False))
    try:
        for callback in callbacks:
            callback(study, frozen)
    finally:
        for added in range(known, len(study.get_trials(deepcopy=False))):
            if lost := unsavable.savable(study, added):
                finished = record_of(study, added).state.is_finished()
                (unsavable.note if finished else unsavable.fail)(study, added, lost)


def _tell_one(study: optuna.Study, trial: FrozenTrial, report: TrialReport, *, trusted: bool) -> None:
    """Tell one trial; whatever is raised by it is its own failure."""
    record = record_of(study, trial.number)
    if record.state != TrialState.RUNNING:
        # A callback has told it.
        return
    if trusted and report.pruner:
        pruning.learn(study, report.pruner)
    state, values, error = _verdict(study, report)
    record.user_attrs = {**record.user_attrs, **json.loads(report.user_attrs)}
    record.system_attrs = {**record.system_attrs, **json.loads(report.system_attrs)}
    reported = dict(zip(report.steps, report.intermediate, strict=True))
    # A step keeps its first value, which a callback may have reported when the trial was asked.
    record.intermediate_values = {**reported, **record.intermediate_values}
    if error:
        record.user_attrs[ERROR_ATTRIBUTE] = error
    try:
        # Constraint functions run when a trial is told, and look at its attributes.
        study.tell(trial.number, values, state=TrialState[state])
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        _not_told(study, trial.number, error)
    if lost := unsavable.savable(study, trial.number):
        unsavable.fail(study, trial.number, lost)
    told = record_of(study, trial.number)
    if report.outputs and told.state != TrialState.FAIL:
        kept = {name: base64.b64encode(data).decode() for name, data in report.outputs.items()}
        told.system_attrs = {**told.system_attrs, OUTPUTS_ATTRIBUTE: kept}
    if report.start:
        # `tell` stamps the end as now.
        told.datetime_start = datetime.fromtimestamp(report.start)
        told.datetime_complete = datetime.fromtimestamp(report.end)


def _verdict(study: optuna.Study, report: TrialReport) -> tuple[str, list[float] | None, str]:
    if report.state != "COMPLETE":
        return report.state, None, report.error
    wanted, values = len(study.directions), report.values
    if len(values) == wanted and not any(map(math.isnan, values)):
        return report.state, values, report.error
    return "FAIL", None, f"The study has {wanted} direction(s), but the objective returned {values}."


def _not_told(study: optuna.Study, number: int, error: BaseException) -> None:
    """What becomes of a trial whose sampler, or whose constraints, raise when it is told."""
    record = record_of(study, number)
    constraints: Any = record.system_attrs.get("constraints", ())
    if not record.state.is_finished() or constraints is None:
        # Optuna notes None where its constraints are not known, so that nobody could tell whether it is feasible.
        record.system_attrs.pop("constraints", None)
        unsavable.fail(study, number, f"It cannot be told. {raised(error)[1]}")
    else:
        # Optuna has stored what it found; that its sampler has not learned from it is no reason to lose it.
        unsavable.note(study, number, f"It was told, but its sampler raised. {raised(error)[1]}")
