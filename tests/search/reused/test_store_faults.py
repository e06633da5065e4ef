"""Workers over a store that fails, stalls, or kills them at any request: no trial is lost, or told another's value."""

import itertools
from collections import defaultdict

import flytekit as fl
import optuna
import pytest
from flytekit.exceptions.user import FlyteRecoverableException
from hypothesis import given, settings
from hypothesis import strategies as st
from journals import backend
from stores import KilledError, Store, Turns

from flyteoptuna import current_trial, suggest
from flyteoptuna.errors import StoreError
from flyteoptuna.flyte.references import Reference, msgpack_literal
from flyteoptuna.search.generation import begin_search
from flyteoptuna.search.reused import search_journal
from flyteoptuna.search.trial_inputs import input_builder
from flyteoptuna.space.space import space_to_json
from flyteoptuna.storage.file_format import dump_study, restore_study
from flyteoptuna.study.settings import SearchSettings
from flyteoptuna.study.shared.journal_study import collect_study, publish_study
from flyteoptuna.study.system_attrs import search_trials
from flyteoptuna.values import retries

FATES = ["before", "after", "late", "killed before", "killed after"]
RUNS = defaultdict(list)


@fl.task(retries=9)
def objective(x: float, k: int) -> float:
    value = x * 1000 + k
    RUNS[current_trial().number].append((x, k))
    current_trial().set_user_attr("value", value)
    if current_trial().number % 2:
        current_trial().report(value, 1)
        current_trial().should_prune()
    return value


SPACE = {"x": suggest.float(0, 1), "k": suggest.integer(0, 9)}
PRUNER = optuna.pruners.ThresholdPruner(upper=1e9)


class Copy(Reference):
    """The study with which the search began, as each pod reads it."""

    def __init__(self, data):
        super().__init__(msgpack_literal({}))
        self.data = data

    def read(self, python_type):
        return restore_study(self.data)


class Search:
    """A search of some workers over a store; each worker that dies is started again, as Flyte does."""

    def __init__(self, fate, workers, n_trials, patience, choose=lambda count: 0):
        RUNS.clear()
        self.turns = Turns(choose)
        self.store = Store(pause=self.turns.pause)
        self.settings = SearchSettings(n_trials, workers, n_trials, space=space_to_json(SPACE))
        study = begin_search(None, self.settings, ("minimize",), "", 1, batches=False)
        study.pruner = PRUNER
        study.enqueue_trial({"x": 0.5})
        self.study, self.patience = Copy(dump_study(study)), patience
        publish_study(study, backend(self.store))
        self.requests, self.restarts = itertools.count(), 0
        self.store.fate = lambda operation, name: fate(next(self.requests), operation)

    def run(self):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(search_journal, "open_journal", self.open_journal)
            patch.setattr(retries, "sleep", lambda seconds: self.turns.pause())
            self.turns.run([lambda index=index: self.work(str(index)) for index in range(self.settings.slots)])
        self.store.fate = lambda operation, name: ""
        return self

    def open_journal(self, url, name=""):
        return backend(self.store, name=name, poll=0, patience=self.patience)

    def work(self, name):
        while True:
            self.store.restart()
            try:
                return self.attempt(name)
            except (KilledError, FlyteRecoverableException, StoreError):
                self.restarts += 1

    def attempt(self, name):
        build = input_builder(objective, objective, self.settings.space, {})
        worker = search_journal.open_worker(
            name, self.study, "/no/journal", self.settings, objective, build, ("x", "k"), {}, None
        )
        return worker.run()

    def check(self):
        """Each trial is complete, and was run with the parameters that it has, and told their value."""
        study, ending = collect_study(backend(self.store), self.study.read(optuna.Study), self.settings.n_trials)
        trials = search_trials(study)
        assert ending.why == "all trials" and len(trials) == len(study.trials) == self.settings.n_trials
        for trial in trials:
            assert trial.state.name == "COMPLETE"
            assert {*RUNS[trial.number]} == {(trial.params["x"], trial.params["k"])}
            assert trial.value == trial.user_attrs["value"] == trial.params["x"] * 1000 + trial.params["k"]
        assert study.trials[0].params["x"] == 0.5


def count_requests(workers, n_trials):
    search = Search(lambda number, operation: "", workers, n_trials, 0).run()
    search.check()
    return next(search.requests)


@pytest.mark.parametrize(("fate", "patience"), [*((fate, 0) for fate in FATES), *((fate, 60) for fate in FATES[:3])])
def test_a_fault_at_any_one_request_loses_and_moves_nothing(fate, patience):
    """Whether the worker dies, gives up at once, or tries the request again."""
    for faulty in range(count_requests(1, 2)):
        search = Search(lambda number, _, faulty=faulty: fate if number == faulty else "", 1, 2, patience).run()
        search.check()
        assert search.restarts <= (not patience)


@settings(max_examples=60)
@given(
    data=st.data(),
    faults=st.dictionaries(st.integers(0, 200), st.tuples(st.sampled_from(FATES), st.integers(1, 12)), max_size=4),
    workers=st.integers(1, 3),
    patience=st.sampled_from([0, 1, 60]),
)
def test_outages_at_any_requests_lose_and_move_nothing(data, faults, workers, patience):
    """Of several workers in any order; each outage lasts for some requests."""
    fates = {number: fate for start, (fate, length) in faults.items() for number in range(start, start + length)}
    choose = lambda count: data.draw(st.integers(0, count - 1)) if count > 1 else 0  # noqa: E731
    Search(lambda number, _: fates.get(number, ""), workers, 4, patience, choose).run().check()
