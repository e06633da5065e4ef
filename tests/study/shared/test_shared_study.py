"""Workers that share a study by a journal: whose each trial is, and what becomes of the study."""

import copy
import itertools
from contextlib import suppress
from functools import partial

import journals
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial
from stores import Store, Turns

from flyteoptuna.errors import JournalConflictError, StoreError
from flyteoptuna.internals.optuna_internals import in_memory_storage
from flyteoptuna.storage.search_study import SearchStudy
from flyteoptuna.study import system_attrs
from flyteoptuna.study.shared import recorder
from flyteoptuna.study.shared.journal_study import collect_study, publish_study
from flyteoptuna.study.shared.search_records import SearchJournal
from flyteoptuna.study.shared.shared_study import Ending, SharedStudy
from flyteoptuna.trial import marks
from flyteoptuna.trial.report import TrialReport

X = FloatDistribution(0, 1)
# The journal of a search, which checks each record.
backend = partial(journals.backend, kind=SearchJournal)


def based(*states, offset=0):
    """A study before its search, with trials of these states, whose ids begin at an offset."""
    trials = []
    for number, state in enumerate(states):
        waiting = state == TrialState.WAITING
        trial = create_trial(
            state=state,
            value=float(number) if state == TrialState.COMPLETE else None,
            params={} if waiting else {"x": number / 10},
            distributions={} if waiting else {"x": X},
            system_attrs={"fixed_params": {"x": 0.25}} if waiting else {},
        )
        trial.number, trial._trial_id = number, number + offset
        trials.append(trial)
    storage = in_memory_storage("s", [StudyDirection.MINIMIZE], 4, trials, {"x": X} if trials else {})
    study = SearchStudy("s", storage, optuna.samplers.RandomSampler(), optuna.pruners.NopPruner())
    system_attrs.store_search_mark(study, 0, 0)
    return study


def shared(store, base, worker, n_trials, **kwargs):
    return SharedStudy(backend(store, name=worker, **kwargs), base, worker, n_trials)


def build(trial):
    return trial.suggest_float("x", 0, 1)


def asked(study, asked):
    return [] if asked.inputs is None else [asked]


def report(number, value=None):
    return TrialReport(number, state="COMPLETE", values=[float(number if value is None else value)])


class Died(BaseException):
    """Ends a worker where it stands."""


class Run:
    """Workers that run a search, one request to the store at a time, and die and come back where they are told to."""

    def __init__(self, choose, base, n_trials, dies, enqueues):
        self.turns = Turns(choose)
        self.store = Store(pause=self.pause)
        self.base, self.n_trials, self.dies, self.enqueues = base, n_trials, dies, enqueues
        self.requests, self.claimed, self.enqueued = {}, [], 0
        publish_study(base, backend(self.store))

    def pause(self):
        worker = getattr(self.turns.mine, "worker", None)
        if worker is not None:
            self.requests[worker] = self.requests.get(worker, 0) + 1
            if self.requests[worker] in self.dies.get(worker, ()):
                raise Died
        self.turns.pause()

    def work(self, worker):
        self.turns.mine.worker = worker
        while True:
            try:
                return self.attempt(worker)
            except Died:
                continue

    def attempt(self, worker):
        base = copy.deepcopy(self.base)
        base.callbacks = [self.callback]
        study = shared(self.store, base, worker, self.n_trials, poll=1000)
        for trial in study.unfinished_trials():
            if marks.TRIAL_ATTRIBUTE in trial.system_attrs:
                study.tell(trial.number, TrialReport(trial.number, error="died"))
            else:
                self.run(study, trial._trial_id)
        while (trial_id := study.claim()) is not None:
            self.claimed.append(trial_id)
            self.run(study, trial_id)

    def run(self, study, trial_id):
        number, [(_, params, x)] = study.ask(trial_id, build, asked)
        study.tell(number, report(number, params["x"]))
        assert x == params["x"]

    def callback(self, study, trial):
        if trial.number in self.enqueues:
            study.enqueue_trial({"x": 0.75})
            self.enqueued += 1


STATES = st.sampled_from([TrialState.COMPLETE, TrialState.WAITING, TrialState.FAIL])
DIES = st.dictionaries(st.sampled_from("012"), st.sets(st.integers(1, 60), max_size=4))


@settings(max_examples=60)
@given(
    data=st.data(),
    states=st.lists(STATES, max_size=4),
    workers=st.integers(1, 3),
    n_trials=st.integers(1, 6),
    dies=DIES,
    enqueues=st.sets(st.integers(0, 8), max_size=3),
)
def test_any_interleaving_of_workers_runs_the_same_first_n_trials(data, states, workers, n_trials, dies, enqueues):
    """With trials that were enqueued before and meanwhile, and workers that die between any two requests."""
    base = based(*states, offset=3)
    found = Run(lambda count: data.draw(st.integers(0, count - 1)), base, n_trials, dies, enqueues)
    found.turns.run([lambda worker=str(worker): found.work(worker) for worker in range(workers)])
    assert len(set(found.claimed)) == len(found.claimed)

    before = [copy.deepcopy(trial) for trial in base.trials]
    study, ending = collect_study(backend(found.store), base, n_trials)
    again, _ = collect_study(backend(found.store, name="other"), base, n_trials)
    assert study.trials == again.trials
    assert ending == Ending("all trials")
    trials = study.trials
    assert [t.number for t in trials] == list(range(len(trials)))
    assert [t._trial_id for t in trials] == [number + (3 if before else 0) for number in range(len(trials))]
    mine = system_attrs.search_trials(study)
    assert len(mine) == n_trials
    assert all(t.state.is_finished() for t in mine)
    assert not any(system_attrs.trial_mark(t).beyond for t in trials)
    for trial, old in zip(trials, before, strict=False):
        assert trial == old or (old.state == TrialState.WAITING and trial in mine)
    for trial in trials[len(before) :]:
        assert trial in mine or (trial.state == TrialState.WAITING and trial.datetime_start is None)
    for trial in mine:
        assert trial.state == TrialState.FAIL or trial.value == trial.params["x"]
        assert trial.params.get("x", 0) == trial.system_attrs.get("fixed_params", trial.params).get("x", 0)


def worked(store, base, worker="0", n_trials=9, **kwargs):
    study = shared(store, base, worker, n_trials, **kwargs)
    return study, study.ask(study.claim(), build, asked)[0]


def test_a_worker_that_comes_late_to_an_enqueued_trial_takes_another():
    """One that is taken, and one that has even ended, before it learns of it."""
    base, store = based(TrialState.WAITING, TrialState.WAITING), Store()
    publish_study(base, backend(store))
    late, first = shared(store, base, "late", 9, poll=1000), shared(store, base, "first", 9)
    assert late.claims == []
    assert first.claim() == 0
    number, _ = first.ask(0, build, asked)
    first.tell(number, report(0))
    assert first.claim() == 1
    assert late.claim() == 2


def test_what_others_have_noted_on_the_study_meanwhile_is_not_undone():
    """A callback that sees the study as it was writes what it has changed, and nothing else."""
    base, store = based(), Store()
    publish_study(base, backend(store))

    def note(study, trial):
        other.study.set_user_attr("shared", "new")
        study.set_user_attr("mine", trial.number)

    one, number = worked(store, base, "1")
    other = shared(store, base, "2", 9)
    other.study.set_user_attr("shared", "old")
    one.refresh()
    one.study.callbacks = [note]
    one.tell(number, report(number))
    other.refresh()
    assert other.study.user_attrs == {"shared": "new", "mine": 0}


def test_a_trial_that_a_callback_leaves_running_is_nobodys():
    """It is no claim on one of the search's trials."""
    base, store = based(), Store()
    publish_study(base, backend(store))
    one, number = worked(store, base, n_trials=1)
    one.study.callbacks = [lambda study, trial: study.ask()]
    one.tell(number, report(number))
    assert [claim.trial_id for claim in one.claims] == [0]
    assert one.unfinished_trials() == []
    assert [t.state.name for t in collect_study(backend(store), base, 1)[0].trials] == ["COMPLETE", "RUNNING"]


def test_a_study_that_is_stopped_while_a_trial_is_asked_is_stopped_for_all():
    """As by a sampler that has nothing left, or a callback that makes the inputs."""
    base, store = based(), Store()
    publish_study(base, backend(store))

    def stopping(trial):
        trial.study.stop()
        trial.study.enqueue_trial({"x": 0.5})
        return build(trial)

    one = shared(store, base, "1", 9)
    one.ask(one.claim(), stopping, asked)
    other = shared(store, base, "2", 9)
    assert other.ending == Ending("stopped")
    assert [t.state.name for t in other.study.trials] == ["RUNNING", "WAITING"]


@pytest.mark.parametrize("poll", [0, 1000])
def test_whoever_ends_the_search_first_says_why(poll):
    """Later reasons are its consequences, whether their worker knows of the first or not."""
    base, store = based(), Store()
    publish_study(base, backend(store))
    one, other = shared(store, base, "1", 9), shared(store, base, "2", 9, poll=poll)
    one.end("broken", failed=True)
    other.end("stopped")
    assert collect_study(backend(store), base, 9)[1] == Ending("broken", failed=True)


@pytest.mark.parametrize("poll", [0, 1000])
def test_a_parameter_that_two_workers_suggest_at_once_in_different_kinds_fails_the_later_trial(poll):
    """Whether the worker knows of the other before it writes or not: nothing is written, and it asks again."""
    base, store = based(), Store()
    publish_study(base, backend(store))
    late = shared(store, base, "late", 9, poll=poll)
    trial_id = late.claim()

    def meanwhile(trial):
        first = shared(store, base, "first", 9)
        if not first.study.trials[1:]:
            first.ask(first.claim(), build, asked)
        return trial.suggest_categorical("x", ["a", "b"])

    before = late.study.trials
    with pytest.raises(JournalConflictError, match="another distribution"):
        late.ask(trial_id, meanwhile, asked)
    assert [trial._trial_id for trial in late.unfinished_trials()] == [trial_id] == [late.claim()]
    assert late.study.trials[:1] == before
    number, jobs = late.ask(trial_id, meanwhile, asked)
    assert jobs == []
    late.tell(number, None)
    study, _ = collect_study(backend(store), base, 9)
    assert [t.state.name for t in study.trials] == ["FAIL", "RUNNING"]
    assert study.trials[0].params == {}
    assert "different distribution kind" in study.trials[0].user_attrs["flyteoptuna:error"]


def entry_names(store):
    return {name for name in store.objects if "pack" not in name}


def test_all_that_a_tell_changes_is_one_entry():
    """The result, what a callback notes and adds, and the end of the search."""
    base, store = based(), Store()
    publish_study(base, backend(store))

    def callback(study, trial):
        study.set_user_attr("noted", trial.number)
        study.enqueue_trial({"x": 0.5})
        study.add_trial(create_trial(value=1.0))
        study.stop()

    one, number = worked(store, base)
    one.study.callbacks, before = [callback], entry_names(store)
    one.tell(number, report(number))
    assert len(entry_names(store) - before) == 1
    other = shared(store, base, "2", 9)
    assert [t.state.name for t in other.study.trials] == ["COMPLETE", "WAITING", "COMPLETE"]
    assert other.study.user_attrs == {"noted": 0} and other.ending == Ending("stopped")


@pytest.mark.parametrize(("error", "failed"), [(KeyboardInterrupt, False), (KeyError, True), (SystemExit, True)])
def test_a_callback_that_raises_ends_the_search_in_the_entry_that_tells_its_trial(error, failed):
    """A worker that dies right after it takes nothing of this with it; Ctrl-C ends this worker alone."""
    base, store = based(), Store()
    publish_study(base, backend(store))

    def callback(study, trial):
        raise error("gone")

    one, number = worked(store, base)
    one.study.callbacks, before = [callback], entry_names(store)
    with pytest.raises(error, match="gone"):
        one.tell(number, report(number))
    assert len(entry_names(store) - before) == 1
    other = shared(store, base, "2", 9)
    assert other.study.trials[number].state == TrialState.COMPLETE
    assert (other.ending.failed, "gone" in other.ending.why) == (failed, failed)


@pytest.mark.parametrize("told", [True, False])
def test_a_trial_that_has_changed_while_it_is_told_is_told_once(told):
    """As by a request of the worker's earlier attempt that arrives late: whoever is first counts."""
    base, store = based(), Store()
    publish_study(base, backend(store))
    one, number = worked(store, base, poll=1000)
    late, calls = shared(store, base, "0", 9), []
    one.study.callbacks = [lambda study, trial: calls.append(study.trials[number].user_attrs)]
    if told:
        late.tell(number, report(number, 0.75))
    else:
        late.study._storage.set_trial_user_attr(0, "late", 1)
    one.tell(number, report(number, 0.5))
    trial = shared(store, base, "2", 9).study.trials[number]
    assert trial == one.study.trials[number]
    assert (trial.value, trial.user_attrs) == ((0.75, {}) if told else (0.5, {"late": 1}))
    assert calls == ([{}] if told else [{}, {"late": 1}])


def test_a_claim_that_arrives_late_is_not_lost():
    """The worker asks it before it claims another."""
    base, store = based(), Store()
    publish_study(base, backend(store))
    one = shared(store, base, "0", 9, patience=0)
    store.fate = lambda operation, name: "late" if operation == "create" else "before"
    with pytest.raises(StoreError):
        one.claim()
    store.fate = lambda operation, name: ""
    again = shared(store, base, "0", 9)
    assert again.claim() == again.claim() == 0
    again.ask(0, build, asked)
    assert again.claim() == 1


def test_a_trial_is_asked_again_with_the_parameters_that_it_has():
    """What was not suggested yet is drawn, and what the callback raises is the trial's own failure."""
    base, store = based(), Store()
    publish_study(base, backend(store))
    one, number = worked(store, base)
    [orphan] = shared(store, base, "0", 9).unfinished_trials()
    [(_, params, inputs)] = one.rebuild_jobs(
        orphan, lambda trial: (trial.suggest_float("x", 0, 1), trial.suggest_int("k", 0, 9)), asked, attempt=1
    )
    assert inputs == (orphan.params["x"], params["k"])
    one.refresh()
    [known] = one.unfinished_trials()
    assert known.params == params
    assert system_attrs.trial_mark(known).attempt == 1

    def raising(trial):
        raise KeyError("gone")

    assert one.rebuild_jobs(known, raising, asked) == []
    one.tell(number, None)
    assert "KeyError" in one.study.trials[0].user_attrs["flyteoptuna:error"]


def test_a_trial_that_asks_and_tells_is_three_entries():
    """One for the claim, one for all that was suggested, one for all that is told."""
    base, store = based(), Store()
    publish_study(base, backend(store))
    one = shared(store, base, "0", 9)
    before = len(entry_names(store))
    number, _ = one.ask(one.claim(), lambda trial: [trial.suggest_float(f"x{i}", 0, 1) for i in range(10)], asked)
    told = report(number)
    told.steps, told.intermediate, told.user_attrs = [1, 2, 3], [1.0, 2.0, 3.0], '{"a": 1, "b": 2}'
    one.tell(number, told)
    assert len(entry_names(store)) == before + 3


def ask(study):
    def suggest_two(trial):
        x, y = trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1)
        trial.set_user_attr("asked", x + y)

    if (trial_id := study.claim()) is not None:
        study.ask(trial_id, suggest_two, lambda study, asked: [])


def tell(study):
    for trial in study.unfinished_trials()[:1]:
        told = report(trial.number, sum(trial.params.values()))
        told.steps, told.intermediate, told.user_attrs = [1], [0.5], '{"told": true}'
        study.tell(trial.number, told if trial.params else None)


def end(study):
    study.end("over")


@settings(max_examples=100)
@given(
    st.lists(st.sampled_from([ask, ask, tell, tell, end]), min_size=2, max_size=12),
    st.sets(st.integers(0, 40), max_size=4),
    st.sampled_from([KeyboardInterrupt, MemoryError]),
)
def test_an_exception_at_any_record_leaves_all_of_an_entry_or_nothing(operations, raising, error):
    """Whatever the worker does next; no value is told for other parameters than those that are stored."""
    base, store, made = based(), Store(), itertools.count()
    publish_study(base, backend(store))
    append_logs = recorder._Backend.append_logs

    def raise_or_append(self, logs):
        if next(made) in raising:
            raise error
        append_logs(self, logs)

    one = shared(store, base, "0", 3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recorder._Backend, "append_logs", raise_or_append)
        for operation in operations:
            with suppress(error):
                operation(one)
    trials = shared(store, base, "1", 3).study.trials
    assert trials == one.study.trials
    for trial in trials:
        mark, told = system_attrs.trial_mark(trial), trial.state != TrialState.RUNNING
        assert len(trial.params) == (2 if marks.TRIAL_ATTRIBUTE in trial.system_attrs and not mark.beyond else 0)
        assert {"asked": sum(trial.params.values())}.items() <= trial.user_attrs.items() or not trial.params
        if told and trial.params:
            assert (trial.state, trial.value) == (TrialState.COMPLETE, trial.user_attrs["asked"])
        complete = trial.state == TrialState.COMPLETE
        assert (trial.user_attrs.get("told"), trial.intermediate_values) == (
            (True, {1: 0.5}) if complete else (None, {})
        )
