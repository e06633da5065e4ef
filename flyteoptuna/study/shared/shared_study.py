"""The study that workers share: each worker asks and tells in memory, and writes the changes to the journal."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import JournalStorage
from optuna.trial import FrozenTrial, TrialState

from flyteoptuna.errors import JournalConflictError, JournalError
from flyteoptuna.internals import optuna_internals as internals
from flyteoptuna.journal.backend import JournalObjectBackend
from flyteoptuna.storage.search_study import SearchStudy
from flyteoptuna.study import serialisable_attributes, tell
from flyteoptuna.study.ask import AskedTrial, ask_trial
from flyteoptuna.study.shared.claims import Claim, JournalOrder
from flyteoptuna.study.shared.recorder import Recorder
from flyteoptuna.study.system_attrs import find_search_mark, require_search_mark, update_trial_mark
from flyteoptuna.trial.call_objective import outcome_of_exception
from flyteoptuna.trial.marks import ENDED_ATTRIBUTE, TRIAL_ATTRIBUTE, TrialMark
from flyteoptuna.trial.report import TrialReport

JobT = TypeVar("JobT")


class Ending(NamedTuple):
    """Reason why a search asks no more trials, empty while it goes on, and whether it has failed."""

    why: str = ""
    failed: bool = False


class _Draft(NamedTuple):
    """A copy of the study in memory, changed before its changes are written."""

    study: SearchStudy
    # The trial that changes, as the journal has it, and the number of records of the journal then.
    trial: FrozenTrial
    since: int
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
        self._backend, self._worker, self._n_trials = backend, worker, n_trials
        self.study = _open_study(backend, base)
        self.study.callbacks = base.callbacks
        self._record_changes = partial(Recorder, base.study_name, base.directions)
        self._order = JournalOrder(len(base.get_trials(deepcopy=False)))
        self.search = require_search_mark(self.study).count

    def refresh(self) -> None:
        """Read what other workers have written."""
        self._backend.refresh()

    @property
    def claims(self) -> list[Claim]:
        """Claims of all workers; the first ``n_trials`` belong to the search."""
        self._order.read(self._backend, self._worker)
        return self._order.claims

    def claim(self) -> int | None:
        """Claim a trial and return its id; None if the search has claimed all of its trials.

        A trial that this worker has claimed and not asked comes first: its request may have arrived after it had
        failed. Then come enqueued trials, as in ``optuna.Study.ask``.
        """
        for trial in self.unfinished_trials():
            if TRIAL_ATTRIBUTE not in trial.system_attrs:
                return internals.trial_id(trial)
        if len(self.claims) >= self._n_trials:
            return None
        waiting = self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        trial_id = next((internals.trial_id(trial) for trial in waiting if self._try_to_claim(trial)), None)
        if trial_id is None:
            trial_id = internals.storage_of(self.study).create_new_trial(internals.study_id(self.study))
        if any(claim.trial_id == trial_id for claim in self.claims[: self._n_trials]):
            return trial_id
        # Otherwise it would count as a running trial.
        recorder = self._record_changes()
        recorder.storage.set_trial_system_attr(trial_id, TRIAL_ATTRIBUTE, TrialMark(beyond=True).to_attribute())
        recorder.storage.set_trial_state_values(trial_id, TrialState.FAIL)
        self._backend.append_logs(recorder.records)
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
        """Ask a trial that this worker has claimed, and write its suggestions and its mark as one journal entry.

        It is asked in memory, where asking again for a new point needs no requests to the store. ``jobs`` makes the
        jobs to run of an asked trial, and stores their keys in the trial's mark.

        Returns:
            The number of the trial, and the jobs to run.

        Raises:
            JournalConflictError: the trial, or the distribution of a parameter, has changed meanwhile.
        """
        draft = self._draft_before(trial_id)
        knew = sum(trial.state.is_finished() for trial in draft.study.get_trials(deepcopy=False))
        asked = ask_trial(draft.study, None, build, fresh=fresh, worker=self._worker, knew=knew)
        prepared = jobs(draft.study, asked)
        self._write(draft)
        return asked.number, prepared

    def rebuild_jobs(
        self,
        trial: FrozenTrial,
        build: Callable[[Any], Any],
        jobs: Callable[[SearchStudy, AskedTrial], list[JobT]],
        **fields: Any,
    ) -> list[JobT]:
        """Make the jobs of a trial again, from the parameters that it has.

        Raises:
            JournalConflictError: as ``ask``.
        """
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
        prepared = jobs(memory, AskedTrial(trial.number, params, inputs))
        self._write(draft)
        return prepared

    def tell(self, number: int, report: TrialReport | None) -> None:
        """Tell a trial of this worker, run the callbacks, and write all changes as one journal entry.

        An exception of a callback ends the search for all workers. The trial is told once more, with callbacks, if it
        has changed meanwhile and still runs.

        Raises:
            BaseException: an exception of a callback, after the trial has been told.
        """
        while True:
            draft, failure = self._draft_now(number), None
            try:
                tell.tell_trials(draft.study, [report], self.study.callbacks, numbers=[number])
            except BaseException as error:
                failure = error
            try:
                self._write(draft, failure)
            except JournalConflictError:
                running = internals.trial_record(self.study, number).state == TrialState.RUNNING
                if running and not isinstance(failure, KeyboardInterrupt):
                    continue
            if failure is not None:
                raise failure
            return

    def _draft_now(self, number: int) -> _Draft:
        """A draft of the present study in which one trial is changed."""
        since = self._backend.n_records
        trials = self.study.get_trials(deepcopy=False)
        trial = trials[number]
        trials[number] = copy_trial(trial)
        return _draft(copy_with_trials(self.study, trials), trial, since, len(trials))

    def _draft_before(self, trial_id: int) -> _Draft:
        """Copy of the study in which ``study.ask()`` returns this claimed trial."""
        since = self._backend.n_records
        claimed = internals.storage_of(self.study).get_trial(trial_id)
        number = claimed.number
        enqueued = next(claim.enqueued for claim in self.claims if claim.trial_id == trial_id)
        known = self.study.get_trials(deepcopy=False)
        trials = known[: None if enqueued else number]
        for position, trial in enumerate(trials):
            if trial.state == TrialState.WAITING:
                # `ask` must not take an enqueued trial that this worker has not claimed.
                trials[position] = copy_with_state(trial, TrialState.RUNNING)
        if enqueued:
            trials[number] = copy_with_state(trials[number], TrialState.WAITING)
        copied = copy_with_trials(self.study, trials, declared_by=known)
        return _draft(copied, claimed, since, len(trials) + (not enqueued))

    def _write(self, draft: _Draft, failure: BaseException | None = None) -> None:
        """Write the changes of a draft to the journal, as one entry.

        ``failure`` is an exception of a callback, which ends the search.

        Raises:
            JournalConflictError: the trial has changed since the draft was made. Nothing was written.
        """
        draft.attributes.restore_unserialisable()
        recorder, study_id = self._record_changes(), internals.study_id(self.study)
        record = recorder.storage
        _record_trial(record, draft.trial, internals.trial_record(draft.study, draft.trial.number))
        setters = record.set_study_user_attr, record.set_study_system_attr
        # Only own changes, because other workers may have changed other attributes meanwhile.
        for setter, attrs, now in zip(setters, draft.before, _copy_attributes(draft.study), strict=True):
            for key, value in _changed(attrs, now):
                setter(study_id, key, value)
        for added in draft.study.get_trials(deepcopy=False)[draft.known :]:
            record.create_new_trial(study_id, template_trial=added)
        if failure is not None and not isinstance(failure, KeyboardInterrupt):
            record.set_study_system_attr(study_id, ENDED_ATTRIBUTE, [outcome_of_exception(failure)[1], True])
        elif draft.study.stopped:
            record.set_study_system_attr(study_id, ENDED_ATTRIBUTE, ["stopped", False])
        if recorder.records:
            self._backend.append_together(recorder.records, draft.since)

    def end(self, why: str, *, failed: bool = False) -> None:
        """End the search for all workers after their running trials; the first reason counts."""
        if not self.ending.why:
            storage = internals.storage_of(self.study)
            storage.set_study_system_attr(internals.study_id(self.study), ENDED_ATTRIBUTE, [why, failed])

    @property
    def ending(self) -> Ending:
        """The first reason why a worker has ended the search for all workers."""
        self._order.read(self._backend, self._worker)
        return Ending(*self._order.ended)


def _open_study(backend: JournalObjectBackend, base: SearchStudy) -> SearchStudy:
    """Open the study of a journal; raises ``JournalError`` if it is not the one that began as ``base``."""
    storage = JournalStorage(backend)
    found = {study.study_name: study for study in storage.get_all_studies()}
    if base.study_name not in found or found[base.study_name].directions != base.directions:
        raise JournalError(f"{backend} is not the journal of study {base.study_name!r}")
    study = SearchStudy(base.study_name, storage, base.sampler, base.pruner)
    if find_search_mark(study) is None:
        raise JournalError(f"{backend} is the journal of study {base.study_name!r}, but not of a search")
    return study


def _draft(study: SearchStudy, trial: FrozenTrial, since: int, known: int) -> _Draft:
    guard = serialisable_attributes.AttributeGuard(study)
    return _Draft(study, trial, since, known, _copy_attributes(study), guard)


def _record_trial(record: JournalStorage, before: FrozenTrial, after: FrozenTrial) -> None:
    trial_id = internals.trial_id(before)
    for name in [name for name in after.params if name not in before.params]:
        distribution = after.distributions[name]
        internal = distribution.to_internal_repr(after.params[name])
        record.set_trial_param(trial_id, name, internal, distribution)
    for key, value in _changed(before.user_attrs, after.user_attrs):
        record.set_trial_user_attr(trial_id, key, value)
    for key, value in _changed(before.system_attrs, after.system_attrs):
        record.set_trial_system_attr(trial_id, key, value)
    for step, number in _changed(before.intermediate_values, after.intermediate_values):
        record.set_trial_intermediate_value(trial_id, step, number)
    if after.state != before.state:
        record.set_trial_state_values(trial_id, after.state, after.values)


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


def copy_with_trials(
    study: optuna.Study, trials: Sequence[FrozenTrial], declared_by: Sequence[FrozenTrial] | None = None
) -> SearchStudy:
    """A copy of a study in memory, with other trials.

    Its parameters must be compatible with those of ``declared_by``, by default the trials.
    """
    declared: dict[str, BaseDistribution] = {}
    for trial in trials if declared_by is None else declared_by:
        # Most trials have the same parameters as the trials before.
        if not trial.distributions.keys() <= declared.keys():
            declared.update(trial.distributions)
    study_id = internals.study_id(study)
    storage = internals.in_memory_storage(study.study_name, study.directions, study_id, trials, declared)
    copied = SearchStudy(study.study_name, storage, study.sampler, study.pruner)
    internals.replace_study_attributes(copied, *_copy_attributes(study))
    return copied
