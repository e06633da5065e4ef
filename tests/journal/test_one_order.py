"""Any number of writers: one order for them all, in threads and in processes."""

import contextlib
import json
import multiprocessing
import os
import pickle
import random
from pathlib import Path

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from journals import FLOAT, entries, names, opened, run_workers, seen, together
from optuna.distributions import CategoricalDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import JournalStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial
from stores import Store, Turns

from flyteoptuna.errors import JournalError
from flyteoptuna.journal import backend as journal
from flyteoptuna.journal import packs
from flyteoptuna.journal.backend import JournalObjectBackend
from flyteoptuna.journal.entries import entry_name
from flyteoptuna.values import retries

WORKER = Path(__file__).with_name("journal_worker.py")


class Writer:
    """Does to a study what workers do, through a storage of its own, and remembers what was promised to it."""

    def __init__(self, index, store, poll):
        self.index = index
        self.made, self.claimed, self.told, self.mine = [], [], {}, []
        self.backend, self.storage = opened(store, poll=poll)

    def act(self, name, which):
        # The store fails for good, another writer comes between, or Optuna refuses.
        with contextlib.suppress(JournalError, ValueError, UpdateFinishedTrialError, ZeroDivisionError):
            getattr(self, name)(which)

    def any_trial(self, which):
        trials = self.storage.get_all_trials(0, deepcopy=False)
        return trials[which % len(trials)] if trials else None

    def ask(self, which):
        trial = self.storage.create_new_trial(0)
        self.made.append(trial)
        self.mine.append(trial)
        with together(self.backend) as record:
            record.set_trial_param(trial, "x", which / 10, FLOAT)
            record.set_trial_user_attr(trial, "by", self.index)

    def tell(self, which):
        if self.mine:
            trial = self.mine.pop()
            with together(self.backend) as record:
                if self.storage.get_trial(trial).state.is_finished():
                    raise UpdateFinishedTrialError
                record.set_trial_intermediate_value(trial, 0, which)
                record.set_trial_state_values(trial, TrialState.COMPLETE, [which])
            self.storage.get_trial(trial)
            self.told[trial] = which

    def raising(self, which):
        if self.mine:
            with together(self.backend) as record:
                record.set_trial_user_attr(self.mine[-1], "never", which)
                raise ZeroDivisionError

    def note(self, which):
        if self.mine:
            with together(self.backend) as record:
                for name in "abc":
                    record.set_trial_user_attr(self.mine[-1], name, which)
                record.set_study_user_attr(0, f"w{which % 2}", self.index)

    def enqueue(self, which):
        self.made.append(self.storage.create_new_trial(0, create_trial(state=TrialState.WAITING)))

    def claim(self, which):
        waiting = [t for t in self.storage.get_all_trials(0, deepcopy=False) if t.state == TrialState.WAITING]
        if waiting and self.storage.set_trial_state_values(waiting[0]._trial_id, TrialState.RUNNING):
            self.claimed.append(waiting[0]._trial_id)
            self.mine.append(waiting[0]._trial_id)

    def meddle(self, which):
        if trial := self.any_trial(which):
            self.storage.set_trial_user_attr(trial._trial_id, "meddled", self.index)

    def take_over(self, which):
        if trial := self.any_trial(which):
            with together(self.backend) as record:
                record.set_trial_state_values(trial._trial_id, TrialState.FAIL)

    def other_kind(self, which):
        if self.mine:
            with together(self.backend) as record:
                record.set_trial_param(self.mine[-1], "y", 0, [FLOAT, CategoricalDistribution([1, 2])][which % 2])

    def look(self, which):
        self.backend.refresh()


FATES = ["before", "after", "late"]
ACTIONS = ["ask", "tell", "note", "enqueue", "claim", "meddle", "take_over", "other_kind", "look", "raising"]
PROGRAMS = st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 5)), min_size=1, max_size=8)


@settings(max_examples=150)
@given(
    st.lists(st.tuples(PROGRAMS, st.sampled_from([0, 1e9])), min_size=2, max_size=4),
    st.integers(0, 2**32),
    st.sampled_from([0, 0.1, 0.3]),
)
def test_all_readers_have_one_study_whatever_comes_between(programs, seed, faults):
    """Any interleaving of requests, answers that get lost, and requests that arrive late."""
    rng = random.Random(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retries, "sleep", lambda seconds: None)
        patch.setattr(packs, "PACK", 3)
        patch.setattr(journal, "WINDOW", 4)
        turns = Turns(rng.randrange)
        store = Store(pause=turns.pause)
        opened(store)[1].create_new_study([StudyDirection.MINIMIZE], "s")
        writers = [Writer(index, store, poll) for index, (_, poll) in enumerate(programs)]

        def work(writer, program):
            return lambda: [writer.act(name, which) for name, which in program]

        store.fate = lambda operation, name: rng.choice(FATES) if rng.random() < faults else ""
        turns.run([work(writer, program) for writer, (program, _) in zip(writers, programs, strict=True)])
        store.fate = lambda operation, name: ""
        for writer in writers:
            writer.act("look", 0)
        fresh = seen(opened(store)[1])
        assert [seen(writer.storage) for writer in writers] == [fresh] * len(writers)
    numbers = sorted(name for name in names(store) if not name.startswith("pack"))
    assert numbers == [entry_name(number) for number in range(len(numbers))]
    marks = [entry["mark"] for entry in entries(store)]
    made = [trial for writer in writers for trial in writer.made]
    claimed = [trial for writer in writers for trial in writer.claimed]
    assert len({*marks}) == len(marks) and len({*made}) == len(made) and len({*claimed}) == len(claimed)
    states = {number: (state, values) for number, state, values, *_ in fresh[0]}
    for writer in writers:
        for trial, value in writer.told.items():
            assert states[trial] == (TrialState.COMPLETE, [value])
    for _, _, _, params, _, attrs, *_ in fresh[0]:
        assert ("x" in params) == ("by" in attrs) and "never" not in attrs
        assert len({attrs.get(name) for name in "abc"}) == 1


@pytest.mark.parametrize("one_entry", [True, False])
def test_eight_processes_agree_on_one_order(tmp_path, one_entry):
    """None is lost, none comes twice, and all see the same."""
    url = str(tmp_path / "j")
    storage = JournalStorage(JournalObjectBackend(url))
    optuna.create_study(study_name="s", storage=storage)
    found = run_workers(url, 8, 25, one_entry=one_entry)
    assert sorted(number for worker in found for number in worker["numbers"]) == list(range(200))
    assert len({worker["digest"] for worker in found}) == 1
    kept = sorted(name for name in os.listdir(url) if not name.startswith("pack"))
    assert kept == [entry_name(number) for number in range(len(kept))]
    assert len(kept) == 1 + 200 * (3 if one_entry else 5)
    trials = optuna.load_study(study_name="s", storage=JournalStorage(JournalObjectBackend(url))).trials
    assert {t.state for t in trials} == {TrialState.COMPLETE}
    assert all(t.value == t.params["x"] and t.user_attrs["number"] == t.number for t in trials)


def test_forked_processes_share_a_storage_that_was_opened_before(tmp_path):
    """Each writes under a mark of its own, although Optuna gives both one id of a worker."""
    storage = JournalStorage(JournalObjectBackend(str(tmp_path / "j"), poll=0))
    study = optuna.create_study(storage=storage)
    context = multiprocessing.get_context("fork")

    def objective(trial):
        return trial.suggest_float("x", 0, 1) + trial.number

    forked = [context.Process(target=study.optimize, args=(objective, 10)) for _ in range(3)]
    for process in forked:
        process.start()
    study.optimize(objective, 10)
    for process in forked:
        process.join(600)
    assert [process.exitcode for process in forked] == [0, 0, 0]
    assert len(study.trials) == 40
    assert all(t.value == t.params["x"] + t.number for t in study.trials)


def test_a_pickled_storage_goes_on_as_another_writer(tmp_path):
    """As joblib and Dask send it."""
    _, storage = None, JournalStorage(JournalObjectBackend(str(tmp_path / "j"), poll=0))
    study = storage.create_new_study([StudyDirection.MINIMIZE])
    other = pickle.loads(pickle.dumps(storage))
    trials = [each.create_new_trial(study) for each in (storage, other, storage)]
    assert trials == [0, 1, 2]
    marks = [json.loads((tmp_path / "j" / entry_name(n)).read_bytes())["mark"].split("-")[0] for n in range(4)]
    assert marks[0] == marks[1] == marks[3] != marks[2]
    assert other._backend._poll == 0


def test_threads_share_a_study(tmp_path):
    """Optuna's own ``n_jobs``."""
    study = optuna.create_study(storage=JournalStorage(JournalObjectBackend(str(tmp_path / "j"))))
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=40, n_jobs=4)
    assert [t.state for t in study.trials] == [TrialState.COMPLETE] * 40
