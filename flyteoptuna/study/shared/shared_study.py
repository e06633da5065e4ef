"""The study that workers share: each worker asks and tells in memory, and writes the changes to the journal."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import JournalStorage
from optuna.trial import FrozenTrial, TrialState

from flyteoptuna.internals import optuna_internals as internals
from flyteoptuna.journal.backend import JournalObjectBackend
from flyteoptuna.storage.search_study import SearchStudy
from flyteoptuna.study import serialisable_attributes, tell
from flyteoptuna.study.ask import AskedTrial, ask_trial
from flyteoptuna.study.shared.claims import Claim, Claims
from flyteoptuna.study.system_attrs import require_search_mark, trial_mark, update_trial_mark
from flyteoptuna.trial.call_objective import outcome_of_exception
from flyteoptuna.trial.marks import ENDED_ATTRIBUTE, TRIAL_ATTRIBUTE, TrialMark
from flyteoptuna.trial.report import TrialReport
from flyteoptuna.values.text import exception_line

JobT = TypeVar("JobT")


class Ending(NamedTuple):
    """Reason why a search asks no more trials, empty while it goes on, and whether it has failed."""

    why: str = ""
    failed: bool = False


class _Draft(NamedTuple):
    """A copy of the study in memory, changed before its changes are written."""

    study: SearchStudy
    # Number of trials without those that callbacks add.
    known: int
    # User and system attributes before the changes.
    before: list[dict[str, Any]]
    attributes: serialisable_attributes.AttributeGuard


class SharedStudy:
    """The study of a search, as one of its workers uses it.

    Args:
        backend: the journal, opened under the worker's name.
        base: the study that the search began from, with sampler, pruner and callbacks.
        worker: name of the worker.
        n_trials: trials of the search.
    """

    def __init__(self, backend: JournalObjectBackend, base: SearchStudy, worker: str, n_trials: int) -> None:
        self._backend, self._base, self._worker, self._n_trials = backend, base, worker, n_trials
        storage = JournalStorage(backend)
        self.study = SearchStudy(base.study_name, storage, base.sampler, base.pruner)
        self.study.callbacks = base.callbacks
        self._claims = Claims(len(base.get_trials(deepcopy=False)))
        self.search = require_search_mark(self.study).count

    def reopen(self) -> SharedStudy:
        """Return another ``SharedStudy`` of the same worker, read anew from the journal."""
        return SharedStudy(copy.copy(self._backend), self._base, self._worker, self._n_trials)

    def refresh(self) -> None:
        """Read what other workers have written."""
        self._backend.refresh()

    @property
    def claims(self) -> list[Claim]:
        """Claims of all workers; the first ``n_trials`` belong to the search."""
        self._claims.read(self._backend, self._worker)
        return self._claims.in_order

    def claim(self) -> int | None:
        """Claim a trial and return its id; None if the search has claimed all of its trials.

        Enqueued trials come first, as in ``optuna.Study.ask``.
        """
        if len(self.claims) >= self._n_trials:
            return None
        storage = internals.storage_of(self.study)
        waiting = self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        trial_id = next((internals.trial_id(trial) for trial in waiting if self._try_to_claim(trial)), None)
        if trial_id is None:
            trial_id = storage.create_new_trial(internals.study_id(self.study))
        if any(claim.trial_id == trial_id for claim in self.claims[: self._n_trials]):
            return trial_id
        with self._backend.together():
            # Otherwise it would count as a running trial.
            storage.set_trial_system_attr(trial_id, TRIAL_ATTRIBUTE, TrialMark(beyond=True).to_attribute())
            storage.set_trial_state_values(trial_id, TrialState.FAIL)
        return None

    def _try_to_claim(self, trial: FrozenTrial) -> bool:
        """Set an enqueued trial to running; False if another worker has it."""
        storage, trial_id = internals.storage_of(self.study), internals.trial_id(trial)
        try:
            return storage.set_trial_state_values(trial_id, TrialState.RUNNING)
        except UpdateFinishedTrialError:
            # Another worker has claimed and finished it meanwhile.
            return False

    def unfinished_trials(self) -> list[FrozenTrial]:
        """Running trials that an earlier attempt of this worker claimed."""
        claimed = {c.trial_id for c in self.claims[: self._n_trials] if c.worker == self._worker}
        running = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return [trial for trial in running if internals.trial_id(trial) in claimed]

    def ask(
        self,
        trial_id: int,
        build: Callable[[Any], Any],
        jobs: Callable[[SearchStudy, AskedTrial], list[JobT]],
        *,
        fresh: bool = False,
    ) -> tuple[int, list[JobT]]:
        """Ask a trial that this worker has claimed, and write its suggestions as one journal entry.

        It is asked in memory, where asking again for a new point needs no requests to the store. ``jobs`` makes the
        jobs to run of an asked trial, and stores their keys in the trial's mark.

        Returns:
            The number of the trial, and the jobs to run.
        """
        draft = self._draft_before(trial_id)
        knew = sum(trial.state.is_finished() for trial in draft.study.get_trials(deepcopy=False))
        asked = ask_trial(draft.study, None, build, fresh=fresh, worker=self._worker, knew=knew)
        return asked.number, self._write_jobs(draft, asked, jobs)

    def rebuild_jobs(
        self,
        trial: FrozenTrial,
        build: Callable[[Any], Any],
        jobs: Callable[[SearchStudy, AskedTrial], list[JobT]],
        **fields: Any,
    ) -> list[JobT]:
        """Make the jobs of a trial again, from the parameters that it has."""
        draft = self._draft_now(trial.number)
        memory = draft.study
        # Optuna returns the parameters that a trial has, and the sampler suggests only new ones.
        memory.sampler = optuna.samplers.RandomSampler()
        update_trial_mark(memory, trial.number, **fields)
        inputs = None
        try:
            inputs = build(internals.running_trial(memory, trial.number))
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            state, reason = outcome_of_exception(error)
            update_trial_mark(memory, trial.number, state=state, error=reason)
        if lost := serialisable_attributes.drop_unserialisable(memory, trial.number):
            update_trial_mark(memory, trial.number, state="FAIL", error=lost)
            inputs = None
        params = dict(internals.trial_record(memory, trial.number).params)
        return self._write_jobs(draft, AskedTrial(trial.number, params, inputs), jobs)

    def _write_jobs(
        self, draft: _Draft, asked: AskedTrial, jobs: Callable[[SearchStudy, AskedTrial], list[JobT]]
    ) -> list[JobT]:
        """Make the jobs of an asked trial and write its draft; no jobs if its distributions contradict the journal."""
        prepared = jobs(draft.study, asked)
        try:
            self._write(draft, asked.number)
        except ValueError as error:
            # Another worker has meanwhile suggested this parameter with another kind of distribution.
            mark = trial_mark(internals.trial_record(draft.study, asked.number))
            lost = dataclasses.replace(mark, state="FAIL", error=exception_line(error)).to_attribute()
            trial = internals.trial_record(self.study, asked.number)
            internals.set_trial_system_attribute(self.study, trial, TRIAL_ATTRIBUTE, lost)
            return []
        return prepared

    def tell(self, number: int, report: TrialReport | None) -> None:
        """Tell a trial of this worker, run the callbacks, and write all changes to the journal.

        Raises:
            BaseException: an exception of a callback, after the trial has been told.
        """
        draft = self._draft_now(number)
        try:
            tell.tell_trials(draft.study, [report], self.study.callbacks, numbers=[number])
        finally:
            self._write(draft, number)

    def _draft_now(self, number: int) -> _Draft:
        """A draft of the present study in which one trial is changed."""
        trials = self.study.get_trials(deepcopy=False)
        trials[number] = copy_trial(trials[number])
        return _draft(copy_with_trials(self.study, trials), len(trials))

    def _draft_before(self, trial_id: int) -> _Draft:
        """Copy of the study in which ``study.ask()`` returns this claimed trial."""
        number = internals.storage_of(self.study).get_trial(trial_id).number
        enqueued = next(claim.enqueued for claim in self.claims if claim.trial_id == trial_id)
        trials = self.study.get_trials(deepcopy=False)[: None if enqueued else number]
        for position, trial in enumerate(trials):
            if trial.state == TrialState.WAITING:
                # `ask` must not take an enqueued trial that this worker has not claimed.
                trials[position] = copy_with_state(trial, TrialState.RUNNING)
        if enqueued:
            trials[number] = copy_with_state(trials[number], TrialState.WAITING)
        return _draft(copy_with_trials(self.study, trials), len(trials) + (not enqueued))

    def _write(self, draft: _Draft, number: int) -> None:
        """Write the changes of a draft to the journal; those of the trial as one entry."""
        memory, storage, study_id = draft.study, internals.storage_of(self.study), internals.study_id(self.study)
        after, before = internals.trial_record(memory, number), internals.trial_record(self.study, number)
        trial_id = internals.trial_id(before)
        with self._backend.together():
            for name in [name for name in after.params if name not in before.params]:
                distribution = after.distributions[name]
                internal = distribution.to_internal_repr(after.params[name])
                storage.set_trial_param(trial_id, name, internal, distribution)
            for key, value in _changed(before.user_attrs, after.user_attrs):
                storage.set_trial_user_attr(trial_id, key, value)
            for key, value in _changed(before.system_attrs, after.system_attrs):
                storage.set_trial_system_attr(trial_id, key, value)
            for step, value in _changed(before.intermediate_values, after.intermediate_values):
                storage.set_trial_intermediate_value(trial_id, step, value)
            if after.state != before.state:
                storage.set_trial_state_values(trial_id, after.state, after.values)
        draft.attributes.restore_unserialisable()
        setters = storage.set_study_user_attr, storage.set_study_system_attr
        # Only own changes, because other workers may have changed other attributes meanwhile.
        for setter, attrs, now in zip(setters, draft.before, _copy_attributes(memory), strict=True):
            for key, value in _changed(attrs, now):
                setter(study_id, key, value)
        for added in memory.get_trials(deepcopy=False)[draft.known :]:
            storage.create_new_trial(study_id, template_trial=added)
        if memory.stopped:
            self.end("stopped")

    def end(self, why: str, *, failed: bool = False) -> None:
        """End the search for all workers after their running trials; the first reason counts."""
        if not self.ending.why:
            internals.set_system_attribute(self.study, ENDED_ATTRIBUTE, [why, failed])

    @property
    def ending(self) -> Ending:
        """Reason why a worker has ended the search for all workers."""
        return Ending(*(internals.system_attributes(self.study).get(ENDED_ATTRIBUTE) or ()))


def _draft(study: SearchStudy, known: int) -> _Draft:
    return _Draft(study, known, _copy_attributes(study), serialisable_attributes.AttributeGuard(study))


def _copy_attributes(study: optuna.Study) -> list[dict[str, Any]]:
    return [dict(attributes) for attributes in internals.study_attributes(study)]


def _changed(before: Mapping[Any, Any], after: Mapping[Any, Any]) -> list[tuple[Any, Any]]:
    return [(key, value) for key, value in after.items() if key not in before or before[key] != value]


def copy_trial(trial: FrozenTrial) -> FrozenTrial:
    """A copy of a trial that can be changed."""
    # The storage in memory changes these dictionaries in place, and the original trial belongs to the journal's.
    copied = copy.copy(trial)
    for name in ("params", "distributions", "user_attrs", "system_attrs", "intermediate_values"):
        setattr(copied, name, dict(getattr(trial, name)))
    return copied


def copy_with_state(trial: FrozenTrial, state: TrialState) -> FrozenTrial:
    """A copy of a trial in the state WAITING or RUNNING, without a result and a mark."""
    copied = copy_trial(trial)
    copied.state, copied.values = state, None
    copied.datetime_complete = None
    if state == TrialState.WAITING:
        copied.datetime_start = None
    copied.system_attrs.pop(TRIAL_ATTRIBUTE, None)
    return copied


def copy_with_trials(study: optuna.Study, trials: Sequence[FrozenTrial]) -> SearchStudy:
    """A copy of a study in memory, with other trials."""
    declared: dict[str, BaseDistribution] = {}
    for trial in trials:
        # Most trials have the same parameters as the trials before.
        if not trial.distributions.keys() <= declared.keys():
            declared.update(trial.distributions)
    study_id = internals.study_id(study)
    storage = internals.in_memory_storage(study.study_name, study.directions, study_id, trials, declared)
    copied = SearchStudy(study.study_name, storage, study.sampler, study.pruner)
    internals.replace_study_attributes(copied, *_copy_attributes(study))
    return copied
