"""The study of a search whose workers share a journal: each asks and tells, and all agree on what is whose."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend
from optuna.trial import FrozenTrial, TrialState

from flyteoptuna.core.trial.report import TrialReport
from flyteoptuna.journal.backend import JournalObjectBackend
from flyteoptuna.storage.memory import SearchStudy, in_memory
from flyteoptuna.study import marks, tell
from flyteoptuna.study.ask import Asked
from flyteoptuna.study.ask import ask as ask_trial

T = TypeVar("T")

STOPPED_ATTRIBUTE = "flyteoptuna:stopped"
"""The system attribute of a study that says why a worker has ended its search for all."""
BEYOND = "beyond"
"""In the mark of a trial: it was asked when all others of the search were taken, is not run, and not of the study."""


class Claim(NamedTuple):
    """A trial that a worker has taken to run.

    Attributes:
        trial_id: the trial.
        worker: the name of the worker.
        enqueued: whether the trial was there before, waiting.
    """

    trial_id: int
    worker: str
    enqueued: bool = False


class _Claims:
    """The trials that workers have taken since the search began, in the order of the journal, on which all agree.

    It reads Optuna's records, because a storage tells no order between a trial that is made and one that was enqueued.
    """

    def __init__(self, base: int) -> None:
        self.taken: list[Claim] = []
        self._base, self._read, self._trials = base, 0, 0
        self._waiting: set[int] = set()

    def read(self, backend: BaseJournalBackend, own: str) -> None:
        """Read on; ``own`` is the name of the worker that reads."""
        for record in backend.read_logs(self._read):
            self._read += 1
            state = TrialState(record["state"]) if record.get("state") is not None else None
            if "trial_id" not in record and "datetime_start" in record:
                if state == TrialState.WAITING:
                    self._waiting.add(self._trials)
                elif self._trials >= self._base and state in (None, TrialState.RUNNING):
                    self.taken.append(Claim(self._trials, _worker(record, own)))
                self._trials += 1
            elif state == TrialState.RUNNING and record["trial_id"] in self._waiting:
                # Of several workers that claim an enqueued trial, it is the first one's.
                self._waiting.remove(record["trial_id"])
                self.taken.append(Claim(record["trial_id"], _worker(record, own), enqueued=True))


def _worker(record: dict[str, Any], own: str) -> str:
    # Of others, the journal knows the writer; one's own records bear an id that Optuna made.
    name, dot, _ = record["worker_id"].partition(".")
    return name if dot else own


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
    study_id = storage.create_new_study(study.directions, study.study_name)
    for key, value in study.user_attrs.items():
        storage.set_study_user_attr(study_id, key, value)
    for key, value in study._storage.get_study_system_attrs(study._study_id).items():
        storage.set_study_system_attr(study_id, key, value)
    for trial in study.get_trials(deepcopy=False):
        storage.create_new_trial(study_id, template_trial=trial)
    backend.append_logs(recorder.records)


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
        self._backend, self._worker, self._n_trials = backend, worker, n_trials
        storage = JournalStorage(backend)
        self.study = SearchStudy(base.study_name, storage, base.sampler, base.pruner)
        self.study.callbacks = base.callbacks
        self._claims = _Claims(len(base.get_trials(deepcopy=False)))
        self.search = marks.study_attr(self.study, marks.SEARCH_ATTRIBUTE)["count"]

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
        trial_id = next((t._trial_id for t in self._waiting() if self._claimed(t)), None)
        if trial_id is None:
            trial_id = storage.create_new_trial(study_id)
        if any(claim.trial_id == trial_id for claim in self.claims[: self._n_trials]):
            return trial_id
        with self._backend.together():
            # So that nobody takes it for one that runs.
            storage.set_trial_system_attr(trial_id, marks.TRIAL_ATTRIBUTE, {BEYOND: True})
            storage.set_trial_state_values(trial_id, TrialState.FAIL)
        return None

    def _waiting(self) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,))

    def _claimed(self, trial: FrozenTrial) -> bool:
        return self.study._storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING)

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
        memory = self._before(trial_id)
        knew = len([t for t in memory.get_trials(deepcopy=False) if t.state.is_finished()])
        asked = ask_trial(memory, None, build, fresh=fresh, noted={"worker": self._worker, "knew": knew})
        made = jobs(memory, asked)
        try:
            self._write(memory, asked.number)
        except ValueError as error:
            # Another worker has meanwhile suggested a parameter of this name with a distribution of another kind.
            mark = marks.record_of(memory, asked.number).system_attrs[marks.TRIAL_ATTRIBUTE]
            lost = {**mark, "state": "FAIL", "error": f"{type(error).__name__}: {error}"}
            self.study._storage.set_trial_system_attr(trial_id, marks.TRIAL_ATTRIBUTE, lost)
            made = []
        return asked.number, made

    def ask_again(self, trial: FrozenTrial, build: Callable[[Any], Any]) -> Asked:
        """Make the inputs of a trial anew, of the parameters that it was asked with."""
        inputs = build(optuna.trial.FixedTrial(trial.params, number=trial.number))
        return Asked(trial.number, dict(trial.params), inputs)

    def tell(self, number: int, report: TrialReport | None) -> None:
        """Tell a trial of this worker and call the callbacks; whether they have stopped the search is known to all.

        Raises:
            BaseException: what a callback raised, once the trial has been told.
        """
        trials = [copy.copy(t) if t.number == number else t for t in self.study.get_trials(deepcopy=False)]
        memory = _copy(self.study, self.study.sampler, self.study.pruner, trials)
        try:
            tell.tell(memory, [report], self.study.callbacks, numbers=[number])
        finally:
            self._write(memory, number)
            for added in memory.get_trials(deepcopy=False)[len(trials) :]:
                self.study._storage.create_new_trial(self.study._study_id, template_trial=added)
            if memory.stopped:
                self.stop("stopped")

    def _before(self, trial_id: int) -> SearchStudy:
        """The study in memory as of before a trial was taken, such that ``ask`` asks just that one."""
        number = self.study._storage.get_trial(trial_id).number
        enqueued = next(claim.enqueued for claim in self.claims if claim.trial_id == trial_id)
        trials = []
        for trial in self.study.get_trials(deepcopy=False):
            if enqueued and trial._trial_id == trial_id:
                trials.append(_in_state(trial, TrialState.WAITING))
            elif enqueued or trial.number < number:
                # What others may take at any time is not for `ask` to see.
                waits = trial.state == TrialState.WAITING
                trials.append(_in_state(trial, TrialState.RUNNING) if waits else trial)
        return _copy(self.study, self.study.sampler, self.study.pruner, trials)

    def _write(self, memory: SearchStudy, number: int) -> None:
        """Write as one entry what a trial and the study have in memory, and not in the journal."""
        storage, study_id = self.study._storage, self.study._study_id
        made, known = marks.record_of(memory, number), marks.record_of(self.study, number)
        trial_id = known._trial_id
        with self._backend.together():
            for name in [name for name in made.params if name not in known.params]:
                distribution = made.distributions[name]
                internal = distribution.to_internal_repr(made.params[name])
                storage.set_trial_param(trial_id, name, internal, distribution)
            for key, value in _changed(known.user_attrs, made.user_attrs):
                storage.set_trial_user_attr(trial_id, key, value)
            for key, value in _changed(known.system_attrs, made.system_attrs):
                storage.set_trial_system_attr(trial_id, key, value)
            for step, value in _changed(known.intermediate_values, made.intermediate_values):
                storage.set_trial_intermediate_value(trial_id, step, value)
            for key, value in _changed(self.study.user_attrs, memory.user_attrs):
                storage.set_study_user_attr(study_id, key, value)
            before, after = (s._storage.get_study_system_attrs(s._study_id) for s in (self.study, memory))
            for key, value in _changed(before, after):
                storage.set_study_system_attr(study_id, key, value)
            if made.state != known.state:
                storage.set_trial_state_values(trial_id, made.state, made.values)

    def stop(self, why: str) -> None:
        """End the search for all workers, once they have ended what they run."""
        if not self.stopped:
            marks.set_study_attr(self.study, STOPPED_ATTRIBUTE, why)

    @property
    def stopped(self) -> str:
        """Why a worker has ended the search for all; empty where none has."""
        return str(marks.study_attr(self.study, STOPPED_ATTRIBUTE) or "")


def collected(backend: JournalObjectBackend, base: SearchStudy, n_trials: int) -> tuple[SearchStudy, str]:
    """The study of a search as its journal has it, in memory, with the trials of the search and no others.

    Args:
        backend: the journal.
        base: the study that the search began from, with sampler, pruner and callbacks.
        n_trials: trials of the search.

    Returns:
        The study, and why the search has ended before all of its trials were taken; empty where that is not known.
    """
    shared = SharedStudy(backend, base, "", n_trials)
    attrs = shared.study._storage.get_study_system_attrs(shared.study._study_id)
    claims = {claim.trial_id: position for position, claim in enumerate(shared.claims)}
    before = {trial.number: trial for trial in base.get_trials(deepcopy=False)}
    trials: list[FrozenTrial] = []
    for trial in shared.study.get_trials(deepcopy=False):
        claim = claims.get(trial._trial_id)
        if claim is None:
            # What the search found and did not touch stays as it was, with its id.
            kept = before.get(trial.number, trial)
        elif claim < n_trials:
            kept = copy.copy(trial)
            mark = kept.system_attrs.get(marks.TRIAL_ATTRIBUTE) or {"search": shared.search}
            mark = {**mark, "worker": shared.claims[claim].worker}
            kept.system_attrs = {**kept.system_attrs, marks.TRIAL_ATTRIBUTE: mark}
        elif shared.claims[claim].enqueued:
            kept = before.get(trial.number) or _in_state(trial, TrialState.WAITING)
        else:
            continue
        trials.append(kept)
    first = max((trial._trial_id for trial in before.values()), default=-1) + 1
    for number, trial in enumerate(trials):
        if trial is not before.get(number):
            trials[number] = copy.copy(trial)
            trials[number].number = number
            trials[number]._trial_id = before[number]._trial_id if number in before else first + number - len(before)
    found = _copy(base, base.sampler, base.pruner, trials)
    info: Any = found._storage
    info = info._studies[found._study_id]
    info.user_attrs = dict(shared.study.user_attrs)
    info.system_attrs = {key: value for key, value in attrs.items() if key != STOPPED_ATTRIBUTE}
    found.stopped, found.callbacks = bool(shared.stopped), base.callbacks
    return found, "all trials" if len(claims) >= n_trials else shared.stopped


def _changed(before: Mapping[Any, Any], after: Mapping[Any, Any]) -> list[tuple[Any, Any]]:
    return [(key, value) for key, value in after.items() if key not in before or before[key] != value]


def _in_state(trial: FrozenTrial, state: TrialState) -> FrozenTrial:
    made = copy.copy(trial)
    made.state = state
    made.system_attrs = {k: v for k, v in trial.system_attrs.items() if k != marks.TRIAL_ATTRIBUTE}
    return made


def _copy(study: optuna.Study, sampler: Any, pruner: Any, trials: Sequence[FrozenTrial]) -> SearchStudy:
    declared: dict[str, BaseDistribution] = {}
    for trial in trials:
        declared.update(trial.distributions)
    storage = in_memory(study.study_name, study.directions, study._study_id, trials, declared)
    info = storage._studies[study._study_id]
    info.user_attrs = dict(study.user_attrs)
    info.system_attrs = dict(study._storage.get_study_system_attrs(study._study_id))
    return SearchStudy(study.study_name, storage, sampler, pruner)
