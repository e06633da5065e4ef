"""Telling a batch: every running trial of a search gets its final state, whatever its report says."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from flyteoptuna.core.report import ERROR_ATTRIBUTE, TrialReport, match
from flyteoptuna.storage import rows
from flyteoptuna.study.marks import TRIAL_ATTRIBUTE, own, record_of


def _expected(running: Sequence[FrozenTrial]) -> list[tuple[int, str]]:
    marks = [(t.number, t.system_attrs[TRIAL_ATTRIBUTE]) for t in running]
    return [(number, mark.get("key", "")) for number, mark in marks if "state" not in mark]


def unheard(study: optuna.Study, reports: Iterable[TrialReport | None]) -> list[int]:
    """Numbers of the running trials that none of the reports belongs to."""
    expected = _expected(own(study, TrialState.RUNNING))
    matched = match(reports, expected)
    return [number for number, _ in expected if number not in matched]


def tell(
    study: optuna.Study,
    reports: Iterable[TrialReport | None],
    callbacks: Sequence[Callable[..., None]] = (),
    numbers: Collection[int] | None = None,
) -> int:
    """Tell every running trial of the search, in trial order, whatever its report says; without one it has failed.

    Args:
        study: the study.
        reports: what the trials sent.
        callbacks: called after each trial that was told, with the study and the trial.
        numbers: the trials to tell; None for all that run.

    Returns:
        The number of trials told.

    Raises:
        TypeError: a callback left an attribute of the study that cannot be saved.
    """
    trials = [t for t in own(study, TrialState.RUNNING) if numbers is None or t.number in numbers]
    matched = match(reports, _expected(trials))
    rest = iter([(trial, matched.get(trial.number) or _without_report(trial)) for trial in trials])
    try:
        for trial, report in rest:
            _tell_one(study, trial, report)
            _call(callbacks, study, trial.number)
    finally:
        # A callback that raises ends the search, but what has run is told.
        for trial, report in rest:
            _tell_one(study, trial, report)
    return len(trials)


def _without_report(trial: FrozenTrial) -> TrialReport:
    mark = trial.system_attrs[TRIAL_ATTRIBUTE]
    lost = (
        f"Trial {trial.number} ({_of(mark)}) sent no report: its pod died, or its output was "
        "lost. Flyte keeps the pod's log and error with that element of the map."
    )
    return TrialReport(trial.number, state=mark.get("state", "FAIL"), error=mark.get("error", lost))


def _of(mark: Mapping[str, Any]) -> str:
    return f"generation {mark['generation']}" if "generation" in mark else f"worker {mark.get('worker')}"


def _call(callbacks: Sequence[Callable[..., None]], study: optuna.Study, number: int) -> None:
    if not callbacks:
        return
    frozen = copy.deepcopy(record_of(study, number))
    for callback in callbacks:
        callback(study, frozen)
    attrs = {"user_attrs": study._storage.get_study_user_attrs(study._study_id)}
    # A local run keeps the study in memory, where a pod reads from a file what JSON has made of it.
    for key, value in json.loads(rows.encoded("", attrs))["user_attrs"].items():
        study.set_user_attr(key, value)


def _tell_one(study: optuna.Study, trial: FrozenTrial, report: TrialReport) -> None:
    # Constraint functions run when a trial is told, and look at its attributes.
    live = study._storage
    for name, value in json.loads(report.user_attrs).items():
        live.set_trial_user_attr(trial._trial_id, name, value)
    for name, value in json.loads(report.system_attrs).items():
        live.set_trial_system_attr(trial._trial_id, name, value)
    for step, value in zip(report.steps, report.intermediate, strict=True):
        live.set_trial_intermediate_value(trial._trial_id, step, value)
    if report.error:
        live.set_trial_user_attr(trial._trial_id, ERROR_ATTRIBUTE, report.error)
    values = report.values if report.state == "COMPLETE" else None
    if values is not None and (len(values) != len(study.directions) or any(map(math.isnan, values))):
        live.set_trial_user_attr(
            trial._trial_id,
            ERROR_ATTRIBUTE,
            f"The study has {len(study.directions)} direction(s), but the objective returned {values}.",
        )
        values, report.state = None, "FAIL"
    study.tell(trial.number, values, state=TrialState[report.state])
    if report.start and isinstance(live, optuna.storages.InMemoryStorage):
        # `tell` stamps the end as now, which a storage that others read has done rightly.
        told = record_of(study, trial.number)
        told.datetime_start = datetime.fromtimestamp(report.start)
        told.datetime_complete = datetime.fromtimestamp(report.end)
