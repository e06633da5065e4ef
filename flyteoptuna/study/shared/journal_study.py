"""Write a study into a journal when a search begins, and read the search's study from it when it ends."""

from __future__ import annotations

import copy
import dataclasses

from optuna.trial import FrozenTrial, TrialState

from flyteoptuna.internals.optuna_internals import (
    renumber_trial,
    replace_study_attributes,
    study_attributes,
    trial_id,
)
from flyteoptuna.journal.backend import JournalObjectBackend
from flyteoptuna.logs import logger
from flyteoptuna.storage.search_study import SearchStudy
from flyteoptuna.study.shared.recorder import Recorder
from flyteoptuna.study.shared.shared_study import Ending, SharedStudy, copy_with_state, copy_with_trials
from flyteoptuna.trial.marks import ENDED_ATTRIBUTE, TRIAL_ATTRIBUTE, TrialMark

# Object beside the entries of a search's journal: the file of the study with which the search began.
BEGUN = "begun.study"


def publish_study(study: SearchStudy, backend: JournalObjectBackend) -> None:
    """Write a study into an empty journal, as one entry, so that no reader sees a part of it."""
    recorder = Recorder(study.study_name, study.directions)
    user, system = study_attributes(study)
    for key, value in user.items():
        recorder.storage.set_study_user_attr(recorder.study_id, key, value)
    for key, value in system.items():
        # A study that was read from another journal may say that its search has ended.
        if key != ENDED_ATTRIBUTE:
            recorder.storage.set_study_system_attr(recorder.study_id, key, value)
    for trial in study.get_trials(deepcopy=False):
        recorder.storage.create_new_trial(recorder.study_id, template_trial=trial)
    backend.append_logs(recorder.all_records)


def warn_of_damage(damage: str) -> None:
    """Warn that a study ends before the damage of its journal."""
    logger.warning("The study holds what precedes an entry of its journal that is damaged or missing: %s", damage)


def collect_study(backend: JournalObjectBackend, base: SearchStudy, n_trials: int) -> tuple[SearchStudy, Ending]:
    """Read the study of a search from its journal into memory, without trials beyond ``n_trials``.

    The search began from the study ``base``, whose sampler, pruner and callbacks the study gets. It is the study itself
    if the journal has no intact entry.

    Returns:
        The study, and the reason why no more trials are asked; an empty one while the search goes on.
    """
    if not backend.n_records and not backend.read_logs(0):
        return base, Ending()
    shared = SharedStudy(backend, base, "", n_trials)
    before = base.get_trials(deepcopy=False)
    trials = _renumber(_search_trials(shared, before, n_trials), before)
    study = copy_with_trials(base, trials)
    user, system = study_attributes(shared.study)
    replace_study_attributes(study, dict(user), {k: v for k, v in system.items() if k != ENDED_ATTRIBUTE})
    ending = shared.ending
    study.stopped, study.callbacks = bool(ending.why), base.callbacks
    if not ending.why and len(shared.claims) >= n_trials:
        ending = Ending("all trials")
    return study, ending


def _search_trials(shared: SharedStudy, before: list[FrozenTrial], n_trials: int) -> list[FrozenTrial]:
    """Trials of the study with this search: earlier ones, the first ``n_trials`` claimed ones, and added ones."""
    claims = {claim.trial_id: position for position, claim in enumerate(shared.claims)}
    trials: list[FrozenTrial] = []
    for number, trial in enumerate(shared.study.get_trials(deepcopy=False)):
        claim = claims.get(trial_id(trial))
        earlier = before[number] if number < len(before) else None
        if claim is None:
            # An earlier trial that the search did not run, or a trial that a callback added.
            trials.append(earlier or trial)
        elif claim < n_trials:
            copied = copy.copy(trial)
            mark = TrialMark.from_attributes(trial.system_attrs) or TrialMark(search=shared.search)
            mark = dataclasses.replace(mark, worker=shared.claims[claim].worker)
            copied.system_attrs = {**trial.system_attrs, TRIAL_ATTRIBUTE: mark.to_attribute()}
            trials.append(copied)
        elif shared.claims[claim].enqueued:
            trials.append(earlier or copy_with_state(trial, TrialState.WAITING))
    return trials


def _renumber(trials: list[FrozenTrial], before: list[FrozenTrial]) -> list[FrozenTrial]:
    """Renumber trials without gaps, and give new trials ids after those of the original study."""
    first = max(map(trial_id, before), default=-1) + 1
    numbered = []
    for number, trial in enumerate(trials):
        known = number < len(before)
        if not known or trial is not before[number]:
            new_id = trial_id(before[number]) if known else first + number - len(before)
            trial = renumber_trial(trial, number, new_id)
        numbered.append(trial)
    return numbered
