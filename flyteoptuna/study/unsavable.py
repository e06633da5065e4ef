"""What cannot be saved, found where it was left and taken out, so that everything else can be."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from flyteoptuna.core.plain_values import TooLargeError, encoded, said, shown
from flyteoptuna.core.trial.report import ERROR_ATTRIBUTE
from flyteoptuna.storage import write_trials
from flyteoptuna.storage.memory import declared, retract
from flyteoptuna.study.system_attrs import record_of


def as_json(key: Any, value: Any) -> str:
    """An attribute as JSON.

    Raises:
        TypeError: JSON cannot hold it; says why.
    """
    try:
        return encoded({key: value})
    except TooLargeError:
        # A study's own attributes may be as large as its file.
        return json.dumps({key: value})
    except Exception as error:
        # The methods of a dictionary's class may raise what they like.
        raise TypeError(f"JSON cannot hold it ({said(error)})") from None


def note(study: optuna.Study, number: int, reason: str) -> FrozenTrial:
    """Write a reason on a trial of any state; the trial."""
    record = record_of(study, number)
    record.user_attrs = {**record.user_attrs, ERROR_ATTRIBUTE: reason}
    return record


def fail(study: optuna.Study, number: int, reason: str) -> None:
    """Make a trial of any state one that has failed, for a reason."""
    record = note(study, number, reason)
    record.datetime_start = record.datetime_start or datetime.now()
    if not record.state.is_finished():
        study._storage.set_trial_state_values(record._trial_id, TrialState.FAIL)
    elif record.state != TrialState.FAIL:
        retract(study, record)


def savable(study: optuna.Study, number: int) -> str:
    """Take out of a trial what cannot be saved, and make plain numbers of numpy's; what it was, empty for nothing."""
    record = record_of(study, number)
    if _held(record):
        return ""
    found = []
    for kind in ("user_attrs", "system_attrs"):
        kept, lost = _sorted_out(getattr(record, kind))
        setattr(record, kind, kept)
        found += [f"`{kind}[{shown(key)}]` of trial {number} cannot be saved: {why}." for key, why in lost.items()]
    try:
        write_trials.check(record)
    except Exception as error:
        found.append(said(error))
        known = declared(study)
        for name in record.distributions:
            known.pop(name, None)
        record.params, record.distributions, record.intermediate_values = {}, {}, {}
        known.update({name: d for t in study.get_trials(deepcopy=False) for name, d in t.distributions.items()})
    return " ".join(found)


def _held(record: FrozenTrial) -> bool:
    """Whether a trial can be saved as it is, as a file or in a journal, which knows no scalars of numpy's."""
    try:
        write_trials.check(record)
        json.dumps([record.user_attrs, record.system_attrs])
    except Exception:
        # The methods of a dictionary's class may raise what they like.
        return False
    return True


def _sorted_out(attrs: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """What of attributes can be saved, and why the others cannot, by their names."""
    kept, lost = dict[str, Any](), dict[str, str]()
    for key, value in attrs.items():
        try:
            text = as_json(key, value)
        except TypeError as error:
            lost[key] = str(error)
            continue
        try:
            json.dumps({key: value})
            kept[key] = value
        except TypeError:
            # Only numpy's scalars are more than Python's JSON takes.
            kept.update(json.loads(text))
    return kept, lost


class Attributes:
    """The attributes of a study, which callbacks and samplers may change: put back where they cannot be saved.

    They become what JSON makes of them, for the next pod would read them so. A system attribute is put back in silence,
    for it is a note that a sampler has made for itself.
    """

    def __init__(self, study: optuna.Study) -> None:
        self._study = study
        self._good: list[dict[str, str]] = [{}, {}]
        self.check()

    def check(self) -> str:
        """Look at all attributes; why user attributes had to be put back, empty where none had."""
        found, storage = [], self._study._storage
        # An in-memory storage hands out its own.
        lives = (each(self._study._study_id) for each in (storage.get_study_user_attrs, storage.get_study_system_attrs))
        for kind, live, good in zip(("user_attrs", "system_attrs"), lives, self._good, strict=True):
            for key in list(live):
                try:
                    text = as_json(key, live[key])
                except TypeError as error:
                    found += [f"`user_attrs[{shown(key)}]` of the study cannot be saved: {error}."] * (
                        kind == "user_attrs"
                    )
                    del live[key]
                    text = good.get(key, "{}")
                if good.get(key) != text or key not in live:
                    live.update(json.loads(text))
                good[key] = text
        return " ".join(found)
