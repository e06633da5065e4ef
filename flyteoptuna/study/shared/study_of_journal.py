"""A study as a journal, where a search begins, and a journal as the study of the search, where it ends."""

from __future__ import annotations

import copy
import logging
from typing import Any

from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend
from optuna.trial import FrozenTrial, TrialState

from flyteoptuna.core.optuna_log import log_of
from flyteoptuna.journal.backend import JournalObjectBackend
from flyteoptuna.storage.memory import SearchStudy
from flyteoptuna.study import system_attrs
from flyteoptuna.study.shared.shared_study import ENDED_ATTRIBUTE, Ending, SharedStudy, in_memory_as, in_state


class _Recorder(BaseJournalBackend):
    """Keeps the records that a storage writes."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []

    def read_logs(self, log_number_from: int) -> list[dict[str, Any]]:
        return self.records[log_number_from:]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        self.records += logs


def publish(study: SearchStudy, backend: JournalObjectBackend) -> None:
    """Begin a journal with a study, all of it as one entry, so that nobody ever reads a part of it."""
    recorder = _Recorder()
    storage = JournalStorage(recorder)
    with log_of(logging.WARNING):
        study_id = storage.create_new_study(study.directions, study.study_name)
    for key, value in study.user_attrs.items():
        storage.set_study_user_attr(study_id, key, value)
    for key, value in study._storage.get_study_system_attrs(study._study_id).items():
        storage.set_study_system_attr(study_id, key, value)
    for trial in study.get_trials(deepcopy=False):
        storage.create_new_trial(study_id, template_trial=trial)
    backend.append_logs(recorder.records)


def collected(backend: JournalObjectBackend, base: SearchStudy, n_trials: int) -> tuple[SearchStudy, Ending]:
    """The study of a search as its journal has it, in memory, with the trials of the search and no others.

    Args:
        backend: the journal.
        base: the study that the search began from, with sampler, pruner and callbacks.
        n_trials: trials of the search.

    Returns:
        The study, and why no more trials are asked; nothing where they should be.
    """
    shared = SharedStudy(backend, base, "", n_trials)
    attrs = shared.study._storage.get_study_system_attrs(shared.study._study_id)
    before = base.get_trials(deepcopy=False)
    trials = _numbered(_kept(shared, before, n_trials), before)
    found = in_memory_as(base, trials)
    info: Any = found._storage
    info = info._studies[found._study_id]
    info.user_attrs = dict(shared.study.user_attrs)
    info.system_attrs = {key: value for key, value in attrs.items() if key != ENDED_ATTRIBUTE}
    ending = shared.ending
    found.stopped, found.callbacks = bool(ending.why), base.callbacks
    if not ending.why and len(shared.claims) >= n_trials:
        ending = Ending("all trials")
    return found, ending


def _kept(shared: SharedStudy, before: list[FrozenTrial], n_trials: int) -> list[FrozenTrial]:
    """The trials that are of the study once the search has ended."""
    claims = {claim.trial_id: position for position, claim in enumerate(shared.claims)}
    trials: list[FrozenTrial] = []
    for number, trial in enumerate(shared.study.get_trials(deepcopy=False)):
        claim = claims.get(trial._trial_id)
        found = before[number] if number < len(before) else None
        if claim is None:
            # What the search found and did not touch stays as it was, with its id.
            trials.append(found or trial)
        elif claim < n_trials:
            kept = copy.copy(trial)
            mark = kept.system_attrs.get(system_attrs.TRIAL_ATTRIBUTE) or {"search": shared.search}
            mark = {**mark, "worker": shared.claims[claim].worker}
            kept.system_attrs = {**kept.system_attrs, system_attrs.TRIAL_ATTRIBUTE: mark}
            trials.append(kept)
        elif shared.claims[claim].enqueued:
            trials.append(found or in_state(trial, TrialState.WAITING))
    return trials


def _numbered(trials: list[FrozenTrial], before: list[FrozenTrial]) -> list[FrozenTrial]:
    """The trials with numbers without gaps, and the ids that follow those of the study before."""
    first = max((trial._trial_id for trial in before), default=-1) + 1
    numbered = []
    for number, trial in enumerate(trials):
        known = number < len(before)
        if not known or trial is not before[number]:
            trial = copy.copy(trial)
            trial.number = number
            trial._trial_id = before[number]._trial_id if known else first + number - len(before)
        numbered.append(trial)
    return numbered
