"""What a search notes on its study and its trials, in optuna's own storage."""

from __future__ import annotations

import time
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

TRIAL_ATTRIBUTE = "flyteoptuna:trial"
"""The system attribute of a trial of a search: the search it belongs to, its generation, its key, its early outcome."""

OUTPUTS_ATTRIBUTE = "flyteoptuna:outputs"
"""The system attribute of a trial that holds what its objective returned beside values: literals of Flyte in base64."""

SEARCH_ATTRIBUTE = "flyteoptuna:search"
"""The system attribute of a study that tells its latest search: its count, its first trial, its start."""

FINISHED = tuple(state for state in TrialState if state.is_finished())


def study_attr(study: optuna.Study, key: str) -> Any:
    """A system attribute of a study; None where it has none."""
    return study._storage.get_study_system_attrs(study._study_id).get(key)


def set_study_attr(study: optuna.Study, key: str, value: Any) -> None:
    """Set a system attribute of a study."""
    study._storage.set_study_system_attr(study._study_id, key, value)


def set_trial_attr(study: optuna.Study, trial: FrozenTrial, key: str, value: Any) -> None:
    """Set a system attribute of a trial, which the samplers are not to see as the user's."""
    study._storage.set_trial_system_attr(trial._trial_id, key, value)


def record_of(study: optuna.Study, number: int) -> FrozenTrial:
    """The storage's own record of a trial."""
    # An in-memory storage hands out its own record, which takes what `tell` and `ask` would not set.
    return study._storage.get_trial(study._storage.get_trial_id_from_study_id_trial_number(study._study_id, number))


def begin(
    study: optuna.Study, n_trials: int = 0, generations: int = 0, now: float | None = None, concurrency: int = 0
) -> None:
    """Begin a search on a study: its budgets count from here, and earlier trials are not its own.

    Args:
        study: the study.
        n_trials: trials of the search, for those who look at its progress.
        generations: generations of the search, likewise.
        now: the start of the search in seconds since the epoch; the present by default.
        concurrency: trials that can run at once, for those who look at what it cost; 0 where that is not known.
    """
    before = study_attr(study, SEARCH_ATTRIBUTE) or {"count": 0}
    search = {"count": before["count"] + 1, "n_trials": n_trials, "generations": generations}
    search |= {"concurrency": concurrency} if concurrency else {}
    set_study_attr(study, SEARCH_ATTRIBUTE, {**search, "start": time.time() if now is None else now})


def started(study: optuna.Study) -> float:
    """Start of the study's latest search, in seconds since the epoch."""
    return float(study_attr(study, SEARCH_ATTRIBUTE)["start"])


def own(study: optuna.Study, *states: TrialState) -> list[FrozenTrial]:
    """The trials that the latest search has asked, in their order; those of the given states, or all."""
    count, none = study_attr(study, SEARCH_ATTRIBUTE)["count"], dict[str, Any]()
    trials = study.get_trials(deepcopy=False, states=states or None)
    return [t for t in trials if t.system_attrs.get(TRIAL_ATTRIBUTE, none).get("search") == count]


def note(study: optuna.Study, number: int, **fields: Any) -> None:
    """Note something of a trial that a search has asked, in whatever state it is.

    Args:
        study: the study, in memory.
        number: the trial.
        fields: ``key``, the digest of its inputs, by which a report is known to be the trial's; ``cached``, whether
            that report may be another trial's at the same point; ``timeout``, the seconds after which Flyte ends it;
            ``state`` and ``error``, what it is to be told as, for it is not run.
    """
    record = record_of(study, number)
    mark = {**record.system_attrs[TRIAL_ATTRIBUTE], **fields}
    record.system_attrs = {**record.system_attrs, TRIAL_ATTRIBUTE: mark}
