"""The study of a search whose workers share a journal: each asks and tells in memory, and writes what came of it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import JournalStorage
from optuna.trial import FrozenTrial, TrialState

from flyteoptuna.core.trial.call_objective import raised
from flyteoptuna.core.trial.report import TrialReport
from flyteoptuna.journal.backend import JournalObjectBackend
from flyteoptuna.storage.memory import SearchStudy, in_memory
from flyteoptuna.study import system_attrs, tell, unsavable
from flyteoptuna.study.ask import Asked
from flyteoptuna.study.ask import ask as ask_trial
from flyteoptuna.study.shared.claims import Claim, Claims

T = TypeVar("T")

ENDED_ATTRIBUTE = "flyteoptuna:ended"
"""The system attribute of a study that says why a worker has ended its search for all."""
BEYOND = "beyond"
"""In the mark of a trial: it was asked when all others of the search were taken, is not run, and not of the study."""


class Ending(NamedTuple):
    """Why a search asks no more trials.

    Attributes:
        why: the reason; empty where it goes on.
        failed: whether the search has failed by it.
    """

    why: str = ""
    failed: bool = False


class _Draft(NamedTuple):
    """The study in memory, where it may be changed before anything of it is written.

    Attributes:
        study: the study.
        known: how many trials it has by itself; those beyond have been added by a callback.
        before: its user and its system attributes as they were.
        attributes: puts those back that cannot be saved.
    """

    study: SearchStudy
    known: int
    before: list[dict[str, Any]]
    attributes: unsavable.Attributes


class SharedStudy:
    """What a worker does with the study that it shares.

    Args:
        backend: the journal, opened under the worker's name.
        base: the study that the search began from, with sampler, pruner and callbacks.
        worker: the worker's name.
        n_trials: trials of the search.

    Attributes:
        study: the study, as far as this process knows it.
        search: the number of the search among those of the study.
    """

    def __init__(self, backend: JournalObjectBackend, base: SearchStudy, worker: str, n_trials: int) -> None:
        self._backend, self._base, self._worker, self._n_trials = backend, base, worker, n_trials
        storage = JournalStorage(backend)
        self.study = SearchStudy(base.study_name, storage, base.sampler, base.pruner)
        self.study.callbacks = base.callbacks
        self._claims = Claims(len(base.get_trials(deepcopy=False)))
        self.search = system_attrs.study_attr(self.study, system_attrs.SEARCH_ATTRIBUTE)["count"]

    def reopened(self) -> SharedStudy:
        """The same, with all that the journal says by now and nothing that this process took for granted."""
        return SharedStudy(copy.copy(self._backend), self._base, self._worker, self._n_trials)

    def refresh(self) -> None:
        """Learn what the others have written."""
        self._backend.refresh()

    @property
    def claims(self) -> list[Claim]:
        """The trials that have been taken, of which the first ``n_trials`` are of the search."""
        self._claims.read(self._backend, self._worker)
        return self._claims.taken

    def claim(self) -> int | None:
        """The id of a trial that this worker has taken; None where all of the search are taken.

        An enqueued trial is taken first, as by ``optuna.Study.ask``.
        """
        if len(self.claims) >= self._n_trials:
            return None
        storage, study_id = self.study._storage, self.study._study_id
        waiting = self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        trial_id = next((trial._trial_id for trial in waiting if self._claimed(trial)), None)
        if trial_id is None:
            trial_id = storage.create_new_trial(study_id)
        if any(claim.trial_id == trial_id for claim in self.claims[: self._n_trials]):
            return trial_id
        with self._backend.together():
            # So that nobody takes it for one that runs.
            storage.set_trial_system_attr(trial_id, system_attrs.TRIAL_ATTRIBUTE, {BEYOND: True})
            storage.set_trial_state_values(trial_id, TrialState.FAIL)
        return None

    def _claimed(self, trial: FrozenTrial) -> bool:
        try:
            return self.study._storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING)
        except UpdateFinishedTrialError:
            # Another worker has taken it and ended it meanwhile.
            return False

    def orphans(self) -> list[FrozenTrial]:
        """The trials that an earlier attempt of this worker took, and did not end."""
        taken = {c.trial_id for c in self.claims[: self._n_trials] if c.worker == self._worker}
        running = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return [trial for trial in running if trial._trial_id in taken]

    def ask(
        self,
        trial_id: int,
        build: Callable[[Any], Any],
        jobs: Callable[[SearchStudy, Asked], list[T]],
        *,
        fresh: bool = False,
    ) -> tuple[int, list[T]]:
        """Ask a trial that this worker has taken, and write what was suggested as one entry.

        Asking goes on in memory, which tries a point as often as it likes, and costs a store nothing.

        Args:
            trial_id: the trial.
            build: makes the inputs of the objective.
            jobs: makes what is to be run of what was asked, and notes it on the trial.
            fresh: ask again where the point is one of an earlier trial.

        Returns:
            The number of the trial, and what is to be run.
        """
        draft = self._before(trial_id)
        knew = sum(trial.state.is_finished() for trial in draft.study.get_trials(deepcopy=False))
        asked = ask_trial(draft.study, None, build, fresh=fresh, noted={"worker": self._worker, "knew": knew})
        return asked.number, self._asked(draft, asked, jobs)

    def ask_again(
        self,
        trial: FrozenTrial,
        build: Callable[[Any], Any],
        jobs: Callable[[SearchStudy, Asked], list[T]],
        **noted: Any,
    ) -> list[T]:
        """Make what is to be run of a trial anew, of the parameters that it was asked with.

        Args:
            trial: the trial.
            build: makes the inputs of the objective.
            jobs: makes what is to be run of what was asked, and notes it on the trial.
            noted: what else is noted on the trial.
        """
        draft = self._now(trial.number)
        memory = draft.study
        # A parameter that a trial has is not drawn anew, and nothing is drawn of it twice.
        memory.sampler = optuna.samplers.RandomSampler()
        system_attrs.note(memory, trial.number, **noted)
        inputs = None
        try:
            inputs = build(optuna.Trial(memory, system_attrs.record_of(memory, trial.number)._trial_id))
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            state, reason = raised(error)
            system_attrs.note(memory, trial.number, state=state, error=reason)
        if lost := unsavable.savable(memory, trial.number):
            system_attrs.note(memory, trial.number, state="FAIL", error=lost)
            inputs = None
        params = dict(system_attrs.record_of(memory, trial.number).params)
        return self._asked(draft, Asked(trial.number, params, inputs), jobs)

    def _asked(self, draft: _Draft, asked: Asked, jobs: Callable[[SearchStudy, Asked], list[T]]) -> list[T]:
        made = jobs(draft.study, asked)
        try:
            self._write(draft, asked.number)
        except ValueError as error:
            # Another worker has meanwhile suggested a parameter of this name with a distribution of another kind.
            mark = system_attrs.record_of(draft.study, asked.number).system_attrs[system_attrs.TRIAL_ATTRIBUTE]
            lost = {**mark, "state": "FAIL", "error": f"{type(error).__name__}: {error}"}
            trial = system_attrs.record_of(self.study, asked.number)
            system_attrs.set_trial_attr(self.study, trial, system_attrs.TRIAL_ATTRIBUTE, lost)
            made = []
        return made

    def tell(self, number: int, report: TrialReport | None) -> None:
        """Tell a trial of this worker and call the callbacks; whether they have stopped the search is known to all.

        Raises:
            BaseException: what a callback raised, once the trial has been told.
        """
        draft = self._now(number)
        try:
            tell.tell(draft.study, [report], self.study.callbacks, numbers=[number])
        finally:
            self._write(draft, number)

    def _now(self, number: int) -> _Draft:
        """The study as it is, in which one trial may be changed."""
        trials = self.study.get_trials(deepcopy=False)
        trials[number] = _own(trials[number])
        return _draft(in_memory_as(self.study, trials), len(trials))

    def _before(self, trial_id: int) -> _Draft:
        """The study as of before a trial was taken, such that ``ask`` asks just that one."""
        number = self.study._storage.get_trial(trial_id).number
        enqueued = next(claim.enqueued for claim in self.claims if claim.trial_id == trial_id)
        trials = self.study.get_trials(deepcopy=False)[: None if enqueued else number]
        for position, trial in enumerate(trials):
            if trial.state == TrialState.WAITING:
                # What others may take at any time is not for `ask` to see.
                trials[position] = in_state(trial, TrialState.RUNNING)
        if enqueued:
            trials[number] = in_state(trials[number], TrialState.WAITING)
        return _draft(in_memory_as(self.study, trials), len(trials) + (not enqueued))

    def _write(self, draft: _Draft, number: int) -> None:
        """Write what has changed in memory: of the trial, as one entry."""
        memory, storage, study_id = draft.study, self.study._storage, self.study._study_id
        made, before = system_attrs.record_of(memory, number), system_attrs.record_of(self.study, number)
        trial_id = before._trial_id
        with self._backend.together():
            for name in [name for name in made.params if name not in before.params]:
                distribution = made.distributions[name]
                internal = distribution.to_internal_repr(made.params[name])
                storage.set_trial_param(trial_id, name, internal, distribution)
            for key, value in _changed(before.user_attrs, made.user_attrs):
                storage.set_trial_user_attr(trial_id, key, value)
            for key, value in _changed(before.system_attrs, made.system_attrs):
                storage.set_trial_system_attr(trial_id, key, value)
            for step, value in _changed(before.intermediate_values, made.intermediate_values):
                storage.set_trial_intermediate_value(trial_id, step, value)
            if made.state != before.state:
                storage.set_trial_state_values(trial_id, made.state, made.values)
        draft.attributes.check()
        setters = storage.set_study_user_attr, storage.set_study_system_attr
        # What others have changed meanwhile is theirs.
        for setter, attrs, now in zip(setters, draft.before, _attributes(memory), strict=True):
            for key, value in _changed(attrs, now):
                setter(study_id, key, value)
        for added in memory.get_trials(deepcopy=False)[draft.known :]:
            storage.create_new_trial(study_id, template_trial=added)
        if memory.stopped:
            self.end("stopped")

    def end(self, why: str, *, failed: bool = False) -> None:
        """End the search for all workers, once they have ended what they run; whoever is first says why."""
        if not self.ending.why:
            system_attrs.set_study_attr(self.study, ENDED_ATTRIBUTE, [why, failed])

    @property
    def ending(self) -> Ending:
        """Why a worker has ended the search for all."""
        return Ending(*(system_attrs.study_attr(self.study, ENDED_ATTRIBUTE) or ()))


def _draft(study: SearchStudy, known: int) -> _Draft:
    return _Draft(study, known, _attributes(study), unsavable.Attributes(study))


def _attributes(study: optuna.Study) -> list[dict[str, Any]]:
    storage = study._storage
    return [dict(get(study._study_id)) for get in (storage.get_study_user_attrs, storage.get_study_system_attrs)]


def _changed(before: Mapping[Any, Any], after: Mapping[Any, Any]) -> list[tuple[Any, Any]]:
    return [(key, value) for key, value in after.items() if key not in before or before[key] != value]


def _own(trial: FrozenTrial) -> FrozenTrial:
    # A storage in memory changes what its trials hold, which here are those that the journal has made.
    made = copy.copy(trial)
    made.params, made.distributions = dict(trial.params), dict(trial.distributions)
    made.user_attrs, made.system_attrs = dict(trial.user_attrs), dict(trial.system_attrs)
    made.intermediate_values = dict(trial.intermediate_values)
    return made


def in_state(trial: FrozenTrial, state: TrialState) -> FrozenTrial:
    """A trial as no worker has touched it: one that waits, or that another runs."""
    made = _own(trial)
    made.state, made.values = state, None
    made.datetime_complete = None
    if state == TrialState.WAITING:
        made.datetime_start = None
    made.system_attrs.pop(system_attrs.TRIAL_ATTRIBUTE, None)
    return made


def in_memory_as(study: optuna.Study, trials: Sequence[FrozenTrial]) -> SearchStudy:
    """A study in memory, with other trials."""
    declared: dict[str, BaseDistribution] = {}
    for trial in trials:
        # Most trials have the parameters of those before.
        if not trial.distributions.keys() <= declared.keys():
            declared.update(trial.distributions)
    storage = in_memory(study.study_name, study.directions, study._study_id, trials, declared)
    info = storage._studies[study._study_id]
    info.user_attrs, info.system_attrs = _attributes(study)
    return SearchStudy(study.study_name, storage, study.sampler, study.pruner)
