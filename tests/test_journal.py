"""A journal of objects: one order for all writers, whatever happens between them."""

import contextlib
import gzip
import json
import multiprocessing
import os
import pickle
import random
import subprocess
import sys
import threading
from pathlib import Path

import optuna
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.exceptions import DuplicatedStudyError, UpdateFinishedTrialError
from optuna.storages import JournalStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial
from stores import Store, Turns

from flyteoptuna import journal, objects
from flyteoptuna.journal import JournalConflictError, JournalError, JournalObjectBackend, entry_name, pack_name

WORKER = Path(__file__).with_name("journal_worker.py")
FLOAT = FloatDistribution(0, 1)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(objects, "PAUSE", 0)


@pytest.fixture
def small_packs(monkeypatch):
    monkeypatch.setattr(journal, "PACK", 3)


def backend(store, **kwargs):
    return JournalObjectBackend("mem://j", fs=store, create=store.make, **{"poll": 0, **kwargs})


def opened(store, **kwargs):
    back = backend(store, **kwargs)
    return back, JournalStorage(back)


def started(store, **kwargs):
    """A backend, its storage, and the id of a trial that runs."""
    back, storage = opened(store, **kwargs)
    study = storage.create_new_study([StudyDirection.MINIMIZE], "s")
    return back, storage, storage.create_new_trial(study)


def seen(storage, study=0):
    """All that a storage says of a study."""
    trials = [
        (
            t.number,
            t.state,
            t.values,
            t.params,
            t.distributions,
            t.user_attrs,
            t.intermediate_values,
            t.datetime_complete,
        )
        for t in storage.get_all_trials(study)
    ]
    return trials, storage.get_study_user_attrs(study)


def entries(store):
    return [
        json.loads(store.objects[f"mem://j/{name}"]) for name in sorted(names(store)) if not name.startswith("pack")
    ]


def names(store):
    return {path.rpartition("/")[2] for path in store.objects}


# One order


class Writer:
    """Does to a study what workers do, through a storage of its own, and remembers what was promised to it."""

    def __init__(self, index, store, poll):
        self.index, self.store, self.poll = index, store, poll
        self.made, self.claimed, self.told, self.mine = [], [], {}, []
        self.backend, self.storage = opened(store, poll=poll)

    def act(self, name, which):
        try:
            getattr(self, name)(which)
        except JournalConflictError:
            self.backend, self.storage = None, None
        except (JournalError, ValueError, UpdateFinishedTrialError):
            pass  # the store failed for good, or Optuna refused
        while self.storage is None:
            with contextlib.suppress(JournalError):
                self.backend, self.storage = opened(self.store, poll=self.poll)

    def any_trial(self, which):
        trials = self.storage.get_all_trials(0, deepcopy=False)
        return trials[which % len(trials)] if trials else None

    def ask(self, which):
        trial = self.storage.create_new_trial(0)
        self.made.append(trial)
        self.mine.append(trial)
        with self.backend.together():
            self.storage.set_trial_param(trial, "x", which / 10, FLOAT)
            self.storage.set_trial_user_attr(trial, "by", self.index)

    def tell(self, which):
        if self.mine:
            trial = self.mine.pop()
            with self.backend.together():
                self.storage.set_trial_intermediate_value(trial, 0, which)
                self.storage.set_trial_state_values(trial, TrialState.COMPLETE, [which])
                assert self.storage.get_trial(trial).values == [which]
            self.told[trial] = which

    def nested(self, which):
        if self.mine:
            with self.backend.together():
                self.storage.set_trial_user_attr(self.mine[-1], "a", which)
                with self.backend.together():
                    self.storage.set_trial_user_attr(self.mine[-1], "b", which)
                self.storage.set_study_user_attr(0, f"w{which % 2}", self.index)
                self.storage.set_trial_user_attr(self.mine[-1], "c", which)

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
            with self.backend.together():
                self.storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)

    def other_kind(self, which):
        if self.mine:
            with self.backend.together():
                self.storage.set_trial_param(self.mine[-1], "y", 0, [FLOAT, CategoricalDistribution([1, 2])][which % 2])

    def look(self, which):
        self.backend.refresh()

    def end(self):
        """Send what a failed store kept here."""
        self.act("look", 0)
        try:
            with self.backend.together():
                pass
        except JournalConflictError:
            self.backend, self.storage = opened(self.store)


FATES = ["before", "after", "late"]
ACTIONS = ["ask", "tell", "nested", "enqueue", "claim", "meddle", "take_over", "other_kind", "look"]
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
        patch.setattr(objects, "PAUSE", 0)
        patch.setattr(objects, "ATTEMPTS", 2)
        patch.setattr(journal, "PACK", 3)
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
            writer.end()
        for writer in writers:
            writer.backend.refresh()
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


def run_workers(url, count, trials, **options):
    """Processes that ask and tell over one journal; the lines that each printed."""
    command = [sys.executable, str(WORKER), url, json.dumps({"trials": trials, "total": count * trials, **options})]
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    printed = [worker.communicate(timeout=600)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * count
    return [json.loads(text.splitlines()[-1]) for text in printed]


@pytest.mark.parametrize("together", [True, False])
def test_eight_processes_agree_on_one_order(tmp_path, together):
    """None is lost, none comes twice, and all see the same."""
    url = str(tmp_path / "j")
    storage = JournalStorage(JournalObjectBackend(url))
    optuna.create_study(study_name="s", storage=storage)
    found = run_workers(url, 8, 25, together=together)
    assert sorted(number for worker in found for number in worker["numbers"]) == list(range(200))
    assert len({worker["digest"] for worker in found}) == 1
    kept = sorted(name for name in os.listdir(url) if not name.startswith("pack"))
    assert kept == [entry_name(number) for number in range(len(kept))]
    assert len(kept) == 1 + 200 * (3 if together else 5)
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
        process.join(300)
    assert [process.exitcode for process in forked] == [0, 0, 0]
    assert len(study.trials) == 40
    assert all(t.value == t.params["x"] + t.number for t in study.trials)


def test_a_process_forked_while_records_are_held_is_refused(tmp_path):
    """It has seen what only its parent can send."""
    back = JournalObjectBackend(str(tmp_path / "j"))
    storage = JournalStorage(back)
    trial = storage.create_new_trial(storage.create_new_study([StudyDirection.MINIMIZE]))

    def child():
        try:
            storage.get_trial(trial)
        except JournalConflictError as error:
            os._exit(17 if "forked while" in str(error) else 1)
        os._exit(0)

    with back.together():
        storage.set_trial_user_attr(trial, "a", 1)
        process = multiprocessing.get_context("fork").Process(target=child)
        process.start()
        process.join(300)
    assert process.exitcode == 17
    assert storage.get_trial(trial).user_attrs == {"a": 1}


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


# Together


def test_what_is_held_goes_as_one_entry_and_is_seen_here_at_once():
    """And by others when the block has ended."""
    store = Store()
    back, storage, trial = started(store)
    other = opened(store)[1]
    with back.together():
        for index in range(3):
            storage.set_trial_param(trial, f"x{index}", 0.5, FLOAT)
        storage.set_trial_system_attr(trial, "s", [1])
        storage.set_trial_intermediate_value(trial, 3, 0.25)
        storage.set_trial_state_values(trial, TrialState.COMPLETE, [1.0])
        assert storage.get_trial(trial).state == TrialState.COMPLETE
        assert other.get_trial(trial).params == {}
    assert len(entries(store)) == 3 and len(entries(store)[2]["records"]) == 6
    assert seen(other) == seen(storage) == seen(opened(store)[1])


def test_what_decides_an_order_goes_at_once_after_what_was_held():
    """A new trial, a claim and a study's attribute are seen by all while the block goes on."""
    store = Store()
    back, storage, trial = started(store)
    other = opened(store)[1]
    waiting = storage.create_new_trial(0, create_trial(state=TrialState.WAITING))
    with back.together():
        storage.set_trial_user_attr(trial, "a", 1)
        assert storage.create_new_trial(0) == 2
        assert other.get_trial(trial).user_attrs == {"a": 1}
        assert storage.set_trial_state_values(waiting, TrialState.RUNNING)
        assert other.get_trial(waiting).state == TrialState.RUNNING
        storage.set_study_user_attr(0, "b", 1)
        assert other.get_study_user_attrs(0) == {"b": 1}
    assert [len(entry["records"]) for entry in entries(store)[3:]] == [1] * 4


def test_nothing_held_is_lost_when_the_block_raises():
    """It is sent, and the error goes on."""
    store = Store()
    back, storage, trial = started(store)
    with pytest.raises(ZeroDivisionError), back.together():
        storage.set_trial_user_attr(trial, "a", 1)
        raise ZeroDivisionError
    assert opened(store)[1].get_trial(trial).user_attrs == {"a": 1}


@pytest.mark.parametrize("fate", ["before", "after", "late"])
def test_what_could_not_be_sent_is_kept_and_sent_once(fate):
    """Before the next record, whether or not the store had it already."""
    store = Store()
    back, storage, trial = started(store)
    told = r"mem://j/00000002.json cannot be read in 5 attempts: "
    with pytest.raises(JournalError, match=told), back.together():
        storage.set_trial_user_attr(trial, "a", 1)
        store.fate = lambda operation, name: fate
    store.fate = lambda operation, name: ""
    storage.set_trial_user_attr(trial, "a", 2)
    assert [entry["records"][0]["user_attr"] for entry in entries(store)[2:]] == [{"a": 1}, {"a": 2}]
    assert seen(storage) == seen(opened(store)[1])


def test_blocks_of_threads_overlap():
    """A thread outside of any block does not wait for one; the end of a block finds all of it stored."""
    store = Store()
    back, storage, trial = started(store)
    second = storage.create_new_trial(0)

    def outside():
        storage.set_trial_user_attr(second, "b", 1)

    with back.together():
        storage.set_trial_user_attr(trial, "a", 1)
        thread = threading.Thread(target=outside)
        thread.start()
        thread.join(60)
        other = opened(store)[1]
        assert other.get_trial(trial).user_attrs == {"a": 1}
        assert other.get_trial(second).user_attrs == {"b": 1}
        storage.set_trial_user_attr(trial, "c", 1)
        assert other.get_trial(trial).user_attrs == {"a": 1}
    assert other.get_trial(trial).user_attrs == {"a": 1, "c": 1}


def fail(storage):
    storage.set_trial_state_values(0, TrialState.FAIL)


def same_trial(storage):
    storage.set_trial_user_attr(0, "b", 1)


def other_distribution(storage):
    storage.set_trial_param(storage.create_new_trial(0), "x", 0, CategoricalDistribution([1, 2]))


def added_with_other_distribution(storage):
    distributions = {"x": CategoricalDistribution([1, 2])}
    storage.create_new_trial(0, create_trial(value=1, params={"x": 1}, distributions=distributions))


@pytest.mark.parametrize(
    "meddle, why",
    [
        (fail, "about the same trial, of id 0"),
        (same_trial, "about the same trial, of id 0"),
        (other_distribution, "gives 'x' another distribution"),
        (added_with_other_distribution, "gives 'x' another distribution"),
    ],
)
def test_what_was_taken_for_granted_and_is_not_so_is_told(meddle, why):
    """A process that replayed what others never see is told so; its records are stored, and a new storage agrees."""
    store = Store()
    back, storage, trial = started(store)
    told = f"mem://j must be opened anew: 0000000[23].json stands before what was held back, and .*{why}"
    with pytest.raises(JournalConflictError, match=told), back.together():
        storage.set_trial_param(trial, "x", 0.5, FLOAT)
        meddle(opened(store)[1])
    for use in (lambda: storage.get_all_trials(0), lambda: storage.create_new_trial(0), back.refresh):
        with pytest.raises(JournalConflictError, match="opened anew"):
            use()
    assert entries(store)[-1]["records"][0]["param_name"] == "x"
    fresh, writer = opened(store)[1], opened(store)[1]
    writer.set_trial_user_attr(writer.create_new_trial(0), "a", 1)
    assert seen(fresh) == seen(writer)


def compatible(storage):
    storage.set_trial_param(storage.create_new_trial(0), "x", 5, FloatDistribution(0, 10))


def of_the_study(storage):
    storage.set_study_user_attr(0, "b", 1)


@pytest.mark.parametrize("meddle", [compatible, of_the_study, lambda storage: storage.create_new_study([0], "t")])
def test_what_agrees_with_what_is_held_may_come_before_it(meddle):
    """Others' trials are no conflict."""
    store = Store()
    back, storage, trial = started(store)
    with back.together():
        storage.set_trial_param(trial, "x", 0.5, FLOAT)
        meddle(opened(store)[1])
        storage.set_trial_state_values(trial, TrialState.COMPLETE, [1.0])
    assert seen(storage) == seen(opened(store)[1])


def test_the_writer_reads_what_the_others_read():
    """JSON knows no tuples and no integers as keys."""
    store = Store()
    _, storage, trial = started(store)
    storage.set_trial_user_attr(trial, "a", {1: (2, 3)})
    assert storage.get_trial(trial).user_attrs == opened(store)[1].get_trial(trial).user_attrs == {"a": {"1": [2, 3]}}
    with pytest.raises(TypeError, match="not JSON serializable"):
        storage.set_trial_user_attr(trial, "b", object())
    assert len(entries(store)) == 3


# Looking


def test_new_entries_are_looked_for_at_most_once_in_a_while(monkeypatch):
    """However often Optuna reads; ``refresh`` looks at once."""
    now = [100.0]
    monkeypatch.setattr(journal.time, "monotonic", lambda: now[0])
    store = Store()
    back, storage, trial = started(store, poll=1.0)
    other = opened(store)[1]
    other.set_trial_user_attr(trial, "a", 1)
    before = len(store.requests)
    for _ in range(50):
        assert storage.get_trial(trial).user_attrs == {}
    assert len(store.requests) == before
    now[0] += 1.0
    assert storage.get_trial(trial).user_attrs == {"a": 1}
    assert storage.get_trial(trial).user_attrs == {"a": 1}
    assert len(store.requests) == before + 2 + 4
    other.set_trial_user_attr(trial, "a", 2)
    back.refresh()
    assert storage.get_trial(trial).user_attrs == {"a": 2}
    assert not [name for operation, name in store.requests if operation == "list"][2:]


def test_an_append_learns_of_what_others_wrote():
    """Its number is taken."""
    store = Store()
    _, storage, trial = started(store, poll=1e9)
    opened(store)[1].set_trial_user_attr(trial, "a", 1)
    assert storage.get_trial(trial).user_attrs == {}
    storage.set_trial_user_attr(trial, "b", 1)
    assert storage.get_trial(trial).user_attrs == {"a": 1, "b": 1}


def test_a_late_reader_takes_packs():
    """Fifty requests and less instead of thousands."""
    store = Store()
    _, storage, trial = started(store, poll=1e9)
    for index in range(2500):
        storage.set_trial_user_attr(trial, f"a{index % 7}", index)
    assert {name for name in names(store) if name.startswith("pack")} == {pack_name(0), pack_name(1)}
    before = len(store.requests)
    late = opened(store, poll=1e9)[1]
    assert len(store.requests) - before < 600 + 50
    assert seen(late) == seen(storage)


@pytest.mark.parametrize(
    "damage",
    [
        lambda body: None,
        lambda body: body[:-9],
        lambda body: b"",
        lambda body: b"no gzip",
        lambda body: gzip.compress(b"\n".join(gzip.decompress(body).split(b"\n")[:-1])),
        lambda body: gzip.compress(gzip.decompress(body).replace(b'"mark":"', b'"mark":"0', 1)),
        lambda body: gzip.compress(b"\n".join(gzip.decompress(body).split(b"\n")[::-1])),
        lambda body: gzip.compress(b"[]"),
    ],
)
def test_a_pack_that_is_lost_or_damaged_costs_only_time(small_packs, damage):
    """The entries are there."""
    store = Store()
    _, storage, trial = started(store)
    for index in range(9):
        storage.set_trial_user_attr(trial, "a", index)
    path = f"mem://j/{pack_name(1)}"
    body = damage(store.objects.pop(path))
    if body is not None:
        store.objects[path] = body
    late = opened(store)[1]
    assert seen(late) == seen(storage)
    late.set_trial_user_attr(trial, "a", 9)
    late.set_trial_user_attr(trial, "a", 10)
    assert seen(opened(store)[1]) == seen(late) == seen(storage)


# Damage


def good(n, **changes):
    record = {"op_code": 2, "study_id": 0, "user_attr": {"n": n}}
    found = {"kind": journal.KIND, "format": 1, "number": n, "mark": f"w-{n}", "after": f"w-{n - 1}"}
    return {**found, "records": [record], **changes}


@pytest.mark.parametrize(
    "body, why",
    [
        (b"", "00000002.json is no entry of a journal: 0 bytes, not JSON"),
        (json.dumps(good(2)).encode()[:40], "00000002.json is no entry of a journal: 40 bytes, not JSON"),
        (b"\xff\xfe\x00", "00000002.json is no entry of a journal: 3 bytes, not JSON"),
        (b"[" * 100_000, "00000002.json is no entry of a journal: 100000 bytes, not JSON"),
        (b"17", "00000002.json is no entry of a journal: '17'"),
        (b'{"a": 1}', r"00000002.json is no entry of a journal: \"\{'a': 1\}\""),
        (good(2, kind="else"), "00000002.json is no entry of a journal"),
        (good(2, format=2), "00000002.json has format 2; this version of flyteoptuna reads 1"),
        (good(2, mark=None), "00000002.json is no entry of a journal: it has no mark or no records"),
        (good(2, records={}), "00000002.json is no entry of a journal: it has no mark or no records"),
        (good(2, records=[3]), "00000002.json is no entry of a journal: it has no mark or no records"),
        (good(2, records=[{"op_code": "2"}]), "00000002.json is no entry of a journal: it has no mark or no records"),
        (good(2, number=1), "00000002.json holds the entry 1: it was copied or renamed"),
        (
            good(2, after="v-1"),
            "00000002.json was written after the entry with the mark 'v-1', but .* 'w-1': an entry was",
        ),
        (None, "00000002.json is missing, but later ones exist"),
    ],
)
def test_a_damaged_entry_is_refused_by_name(body, why):
    """By whoever reads or writes, and again when asked again: never another study, and never an endless loop."""
    store = Store()
    back, storage = opened(store)
    storage.create_new_study([StudyDirection.MINIMIZE], "s")
    store.objects[f"mem://j/{entry_name(0)}"] = json.dumps({**entries(store)[0], "mark": "w-0"}).encode()
    back, storage = opened(store)
    for number in (1, 2, 3):
        store.objects[f"mem://j/{entry_name(number)}"] = json.dumps(good(number)).encode()
    if body is None:
        del store.objects[f"mem://j/{entry_name(2)}"]
    else:
        store.objects[f"mem://j/{entry_name(2)}"] = body if isinstance(body, bytes) else json.dumps(body).encode()
    kept = dict(store.objects)
    for use in (back.refresh, lambda: storage.get_all_studies(), lambda: opened(store), back.refresh):
        with pytest.raises(JournalError, match=why):
            use()
    if body is not None:
        with pytest.raises(JournalError, match=why):
            storage.create_new_trial(0)
        assert store.objects == kept


def test_a_journal_without_its_beginning_is_refused(small_packs):
    """A bucket's rule may have deleted what is old."""
    store = Store()
    _, storage, trial = started(store)
    for index in range(50):
        storage.set_trial_user_attr(trial, "a", index)
    for number in range(40):
        del store.objects[f"mem://j/{entry_name(number)}"]
        store.objects.pop(f"mem://j/{pack_name(number // 3)}", None)
    with pytest.raises(JournalError, match=r"mem://j/00000000.json is missing, but 00000040.json exists"):
        opened(store)


def test_an_entry_that_was_made_anew_is_noticed_by_whoever_made_it():
    """A writer that took a gap for the end."""
    store = Store()
    _, storage, trial = started(store, poll=1e9)
    other = opened(store)[1]
    for index in range(4):
        other.set_trial_user_attr(trial, "a", index)
    del store.objects[f"mem://j/{entry_name(2)}"]
    storage.set_trial_user_attr(trial, "b", 1)
    with pytest.raises(JournalError, match=r"00000003.json was written after .*: an entry was deleted and made anew"):
        storage.set_trial_user_attr(trial, "b", 2)
    with pytest.raises(JournalError, match=r"00000003.json was written after .*: an entry was deleted and made anew"):
        opened(store)


@pytest.mark.parametrize(
    "name", ["1.json", "00000001.json.tmp", ".00000001.json", "000000001.json", "x.json", "0000000\u0661.json"]
)
def test_only_exact_names_count(name):
    """What else lies in the folder is nobody's entry."""
    store = Store()
    store.objects[f"mem://j/{name}"] = b"?"
    storage = opened(store)[1]
    storage.create_new_study([StudyDirection.MINIMIZE], "s")
    assert len(opened(store)[1].get_all_studies()) == 1


# Stores


def test_a_good_store_passes_and_keeps_nothing_of_the_probe(tmp_path):
    """Local files and what has a create of its own."""
    store = Store()
    backend(store).check()
    JournalObjectBackend(f"file://{tmp_path}/j").check()
    assert not store.objects and not os.listdir(tmp_path / "j")


def overwrite(store):
    return lambda fs, path, body: store.objects.__setitem__(path, body)


def keep_in_silence(store):
    return lambda fs, path, body: store.objects.setdefault(path, body)


def overwrite_and_complain(store):
    def create(fs, path, body):
        there = path in store.objects
        store.objects[path] = body
        if there:
            raise FileExistsError(path)

    return create


def refuse(error):
    def make(store):
        def create(fs, path, body):
            raise error

        return create

    return make


@pytest.mark.parametrize(
    "create, why",
    [
        (overwrite, "taken in silence, and b'second' was read after b'first' had been written"),
        (keep_in_silence, "taken in silence, and b'first' was read"),
        (overwrite_and_complain, "FileExistsError: .*, and b'second' was read"),
        (refuse(PermissionError("read-only")), r"probe-\w+ cannot be written: PermissionError: read-only"),
        (
            refuse(FileNotFoundError("no such bucket")),
            r"probe-\w+ cannot be written: FileNotFoundError: no such bucket",
        ),
        (refuse(TypeError("unexpected keyword 'mode'")), r"probe-\w+ cannot be written: TypeError: unexpected keyword"),
        (refuse(OSError("no links")), r"probe-\w+ cannot be written in 5 attempts: OSError: no links"),
        (lambda store: lambda fs, path, body: None, r"taken in silence, and None was read after b'first'"),
    ],
)
def test_a_store_that_cannot_hold_a_journal_is_refused(create, why):
    """With its name, and what it did."""
    store = Store()
    back = JournalObjectBackend("mem://j", fs=store, create=create(store))
    with pytest.raises(JournalError, match=f"^mem://j.*{why}"):
        back.check()


def test_a_store_that_hides_what_is_missing_is_refused():
    """S3 answers so where the right to list is missing."""

    class Hiding(Store):
        def _read(self, path):
            try:
                return super()._read(path)
            except FileNotFoundError:
                raise PermissionError("Access Denied") from None

    with pytest.raises(JournalError, match=r"cannot be read: PermissionError: Access Denied; .* the right to list"):
        backend(Hiding()).check()


def test_a_filesystem_without_links_is_refused(tmp_path, monkeypatch):
    """A file that is opened exclusively is there before its content."""

    def link(source, target):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(JournalError, match=r"cannot be written: PermissionError: .*Operation not permitted"):
        JournalObjectBackend(str(tmp_path / "j")).check()
    assert not os.listdir(tmp_path / "j")


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    """With the reason of the system."""
    (tmp_path / "j").write_text("")
    with pytest.raises(JournalError, match=r"probe-.* cannot be (written|read): (FileExists|NotADirectory)Error"):
        JournalObjectBackend(str(tmp_path / "j")).check()


class Half(MemoryFileSystem):
    """Asks whether a file exists, and writes it then."""

    cachable = False


@pytest.mark.parametrize("fs", [MemoryFileSystem(), Half()])
def test_a_filesystem_that_asks_first_is_refused(fs):
    """It would pass a probe, and lose an entry later."""
    with pytest.raises(JournalError, match=r"only where there is none, in one request: .*s3fs.*; got .*(Memory|Half)"):
        JournalObjectBackend("memory://j", fs=fs)


@pytest.mark.parametrize("fate", ["before", "after", "late"])
@pytest.mark.parametrize("times", [1, 4])
def test_errors_that_pass_are_tried_again(fate, times):
    """On reads and on writes, without a record that comes twice."""
    store = Store()
    _, storage, trial = started(store)
    left = [times]

    def few(operation, name):
        left[0] -= 1
        return fate if left[0] >= 0 else ""

    store.fate = few
    storage.set_trial_user_attr(trial, "a", 1)
    left[0] = times
    assert opened(store)[1].get_trial(trial).user_attrs == {"a": 1}
    assert len(entries(store)) == 3


@pytest.mark.parametrize("operation", ["create", "read"])
def test_errors_that_stay_are_told_with_the_object(operation):
    """After a few attempts."""
    store = Store()
    _, storage, trial = started(store, poll=1e9)
    store.fate = lambda asked, name: "before" if asked == operation else ""
    before = len(store.requests)
    if operation == "create":
        with pytest.raises(
            JournalError, match=r"mem://j/00000002.json cannot be written in 5 attempts: TimeoutError: "
        ):
            storage.set_trial_user_attr(trial, "a", 1)
        assert len(store.requests) == before + 10
    else:
        with pytest.raises(
            JournalError, match=r"mem://j/pack-000000.json.gz cannot be read in 5 attempts: TimeoutError: "
        ):
            opened(store)
        assert len(store.requests) == before + 10
    store.fate = lambda asked, name: ""
    storage.set_trial_user_attr(trial, "b", 1)
    assert seen(storage) == seen(opened(store)[1])


def test_a_journal_that_was_opened_to_be_read_is_not_written(tmp_path):
    """Nor is its folder made."""
    url = str(tmp_path / "j")
    with pytest.raises(JournalError, match="there is no journal here"):
        JournalObjectBackend(url, read_only=True).check()
    assert JournalStorage(JournalObjectBackend(url, read_only=True)).get_all_studies() == []
    assert not os.path.exists(url)
    storage = JournalStorage(JournalObjectBackend(url))
    storage.create_new_study([StudyDirection.MINIMIZE], "s")
    back = JournalObjectBackend(url, read_only=True)
    back.check()
    with pytest.raises(JournalError, match="was opened read-only"), back.together():
        JournalStorage(back).create_new_trial(0)
    assert os.listdir(url) == [entry_name(0)]


def test_optunas_dashboard_shows_a_journal(tmp_path):
    """Read-only, while it is written."""
    from wsgiref.util import setup_testing_defaults

    import optuna_dashboard

    url = str(tmp_path / "j")
    optuna.create_study(study_name="shown", storage=JournalStorage(JournalObjectBackend(url)))
    app = optuna_dashboard.wsgi(JournalStorage(JournalObjectBackend(url, read_only=True)))
    environ = {"PATH_INFO": "/api/studies"}
    setup_testing_defaults(environ)
    status = []
    body = b"".join(app(environ, lambda code, *rest: status.append(code)))
    assert status == ["200 OK"] and [s["study_name"] for s in json.loads(body)["study_summaries"]] == ["shown"]


def test_a_study_of_that_name_is_told(tmp_path):
    """As over any other storage."""

    def make():
        return JournalStorage(JournalObjectBackend(str(tmp_path / "j")))

    optuna.create_study(study_name="s", storage=make())
    with pytest.raises(DuplicatedStudyError):
        optuna.create_study(study_name="s", storage=make())
    assert optuna.create_study(study_name="s", storage=make(), load_if_exists=True).trials == []
