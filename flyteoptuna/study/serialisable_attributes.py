"""Find and drop attributes and parameters that cannot be serialised."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import datetime
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from flyteoptuna.internals.optuna_internals import (
    declared_distributions,
    storage_of,
    study_attributes,
    trial_id,
    trial_record,
    turn_into_failure,
)
from flyteoptuna.storage import write_trials
from flyteoptuna.trial.report import ERROR_ATTRIBUTE
from flyteoptuna.values.json_values import JsonTooLongError, escape_surrogates, to_json
from flyteoptuna.values.text import exception_line, safe_repr


def attribute_to_json(key: Any, value: Any) -> str:
    """An attribute as JSON; ``TypeError`` gives the reason why JSON cannot hold it."""
    try:
        return escape_surrogates(to_json({key: value}))
    except JsonTooLongError:
        # Attributes of a study are not limited by the size of a report.
        return escape_surrogates(json.dumps({key: value}))
    except Exception as error:
        # Methods of a subclass of dict may raise anything.
        raise TypeError(f"JSON cannot hold it ({exception_line(error)})") from None


def set_error(study: optuna.Study, number: int, reason: str) -> FrozenTrial:
    """Set the failure reason of a trial in any state; return its record."""
    record = trial_record(study, number)
    record.user_attrs = {**record.user_attrs, ERROR_ATTRIBUTE: reason}
    return record


def fail_trial(study: optuna.Study, number: int, reason: str) -> None:
    """Turn a trial in any state into a failed one, with a reason."""
    record = set_error(study, number, reason)
    record.datetime_start = record.datetime_start or datetime.now()
    if not record.state.is_finished():
        storage_of(study).set_trial_state_values(trial_id(record), TrialState.FAIL)
    elif record.state != TrialState.FAIL:
        turn_into_failure(study, record)


def drop_unserialisable(study: optuna.Study, number: int) -> str:
    """Drop a trial's values that cannot be serialised; return the problems as text, empty if there are none.

    Attributes become what JSON makes of them, because whoever reads the study's file gets them so.
    """
    record = trial_record(study, number)
    with suppress(Exception):
        # Methods of a subclass of dict may raise anything.
        write_trials.check_trial(record)
        text = escape_surrogates(json.dumps([record.user_attrs, record.system_attrs]))
        record.user_attrs, record.system_attrs = json.loads(text)
        return ""
    problems = []
    for kind in ("user_attrs", "system_attrs"):
        serialisable: dict[str, Any] = {}
        for key, value in getattr(record, kind).items():
            try:
                serialisable.update(json.loads(attribute_to_json(key, value)))
            except TypeError as error:
                problems.append(f"`{kind}[{safe_repr(key)}]` of trial {number} cannot be saved: {error}.")
        setattr(record, kind, serialisable)
    try:
        write_trials.check_trial(record)
    except Exception as error:
        problems.append(exception_line(error))
        known = declared_distributions(study)
        for name in record.distributions:
            known.pop(name, None)
        record.params, record.distributions, record.intermediate_values = {}, {}, {}
        known.update({name: d for t in study.get_trials(deepcopy=False) for name, d in t.distributions.items()})
    return " ".join(problems)


class AttributeGuard:
    """Restores attributes of a study that callbacks and samplers set to values that cannot be serialised.

    Serialisable values become what JSON makes of them, because the next pod reads them so. System attributes, which
    samplers set for themselves, are restored silently.
    """

    def __init__(self, study: optuna.Study) -> None:
        self._study = study
        self._good: list[dict[str, str]] = [{}, {}]
        self.restore_unserialisable()

    def restore_unserialisable(self) -> str:
        """Restore attributes that cannot be serialised; return the reasons as text, empty if there are none."""
        problems, kinds = [], ("user_attrs", "system_attrs")
        for kind, live, good in zip(kinds, study_attributes(self._study), self._good, strict=True):
            for key in list(live):
                try:
                    text = attribute_to_json(key, live[key])
                except TypeError as error:
                    if kind == "user_attrs":
                        problems.append(f"`user_attrs[{safe_repr(key)}]` of the study cannot be saved: {error}.")
                    del live[key]
                    text = good.get(key, "{}")
                if good.get(key) != text or key not in live:
                    live.update(json.loads(text))
                good[key] = text
        return " ".join(problems)
