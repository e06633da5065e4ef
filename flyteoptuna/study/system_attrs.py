"""System attributes that a search sets on its study and trials."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from flyteoptuna.internals.optuna_internals import set_system_attribute, system_attributes, trial_record
from flyteoptuna.trial.marks import (
    INPUTS_ATTRIBUTE,
    SEARCH_ATTRIBUTE,
    SPACES_ATTRIBUTE,
    TRIAL_ATTRIBUTE,
    SearchMark,
    TrialMark,
    find_wrong_field,
    trials_of_search,
)

FINISHED = tuple(state for state in TrialState if state.is_finished())


def find_search_mark(study: optuna.Study) -> SearchMark | None:
    """Mark of a study's latest search; None without a search, or if the attribute is malformed."""
    attributes = system_attributes(study)
    stored = attributes.get(SEARCH_ATTRIBUTE)
    return None if find_wrong_field(SEARCH_ATTRIBUTE, stored) else SearchMark.from_attributes(attributes)


def require_search_mark(study: optuna.Study) -> SearchMark:
    """Mark of a study's latest search; raises ``ValueError`` without one."""
    if (search := find_search_mark(study)) is None:
        raise ValueError(f"Study {study.study_name!r} must be of a search, but none has been begun on it.")
    return search


def store_search_mark(
    study: optuna.Study, n_trials: int = 0, generations: int = 0, now: float | None = None, **fields: Any
) -> None:
    """Store the mark of a new search on a study: its budgets count from here, and earlier trials are not its own.

    ``now`` is its start, seconds since the epoch; ``fields`` are further ones of the ``SearchMark``.
    """
    before = find_search_mark(study)
    mark = SearchMark(
        count=before.count + 1 if before else 1,
        n_trials=n_trials,
        generations=generations,
        start=time.time() if now is None else now,
        **fields,
    )
    set_system_attribute(study, SEARCH_ATTRIBUTE, mark.to_attribute())


def store_search_space(study: optuna.Study, space: str) -> None:
    """Store the search space of a study's latest search, as JSON, so that the inputs of its trials are known."""
    spaces = system_attributes(study).get(SPACES_ATTRIBUTE) or {}
    set_system_attribute(study, SPACES_ATTRIBUTE, {**spaces, str(require_search_mark(study).count): space})


def other_objective_warning(study: optuna.Study, objective: str) -> str:
    """Text of a warning if the latest search of a study was over another objective, else empty.

    ``objective`` is the signature of the present one. A module may be imported by several names: one signature may have
    more of its dotted name than the other.
    """
    before = find_search_mark(study)
    if before is None or not before.objective or not objective:
        return ""
    (name, _, inputs), (old_name, _, old_inputs) = objective.partition("("), before.objective.partition("(")
    same_name = f".{name}".endswith(f".{old_name}") or f".{old_name}".endswith(f".{name}")
    if same_name and sorted(inputs.rstrip(")").split(", ")) == sorted(old_inputs.rstrip(")").split(", ")):
        return ""
    return (
        f"Study {study.study_name!r} is continued with another objective: its trials are of {before.objective}, and "
        f"this search is over {objective}. Values of the two are compared with each other."
    )


def search_trials(study: optuna.Study, *states: TrialState) -> list[FrozenTrial]:
    """Trials of the latest search, by number; those of the given states, or all."""
    return trials_of_search(study.get_trials(deepcopy=False, states=states or None), require_search_mark(study).count)


def trial_mark(trial: FrozenTrial) -> TrialMark:
    """Mark of a trial; an empty mark if no search asked it."""
    return TrialMark.from_attributes(trial.system_attrs) or TrialMark()


def store_inputs(study: optuna.Study, number: int, inputs: Mapping[str, str]) -> None:
    """Store the inputs that a callback made for a trial in memory, as JSON by name."""
    record = trial_record(study, number)
    record.system_attrs = {**record.system_attrs, INPUTS_ATTRIBUTE: dict(inputs)}


def update_trial_mark(study: optuna.Study, number: int, **fields: Any) -> None:
    """Set fields of the ``TrialMark`` of a trial in memory, in any state."""
    record = trial_record(study, number)
    mark = dataclasses.replace(trial_mark(record), **fields)
    record.system_attrs = {**record.system_attrs, TRIAL_ATTRIBUTE: mark.to_attribute()}
