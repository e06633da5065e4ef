"""Records that are held back and go out as one entry, or not at all."""

import threading

import pytest
from journals import FLOAT, entries, opened, seen, started
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial
from stores import Store

from flyteoptuna.errors import JournalConflictError, StoreError


def test_what_is_held_goes_as_one_entry_when_the_block_ends():
    """Nobody sees a part of it, its writer included."""
    store = Store()
    back, storage, trial = started(store)
    other = opened(store)[1]
    with back.together():
        for index in range(3):
            storage.set_trial_param(trial, f"x{index}", 0.5, FLOAT)
        storage.set_trial_system_attr(trial, "s", [1])
        storage.set_trial_intermediate_value(trial, 3, 0.25)
        storage.set_trial_state_values(trial, TrialState.COMPLETE, [1.0])
        assert seen(storage) == seen(other) and other.get_trial(trial).params == {}
    assert len(entries(store)) == 3 and len(entries(store)[2]["records"]) == 6
    assert storage.get_trial(trial).state == TrialState.COMPLETE
    assert seen(other) == seen(storage) == seen(opened(store)[1])


def test_what_decides_an_order_goes_at_once_and_by_itself():
    """A new trial, a claim and a study's attribute are seen by all while the block goes on."""
    store = Store()
    back, storage, trial = started(store)
    other = opened(store)[1]
    waiting = storage.create_new_trial(0, create_trial(state=TrialState.WAITING))
    with back.together():
        storage.set_trial_user_attr(trial, "a", 1)
        assert storage.create_new_trial(0) == 2
        assert storage.set_trial_state_values(waiting, TrialState.RUNNING)
        assert other.get_trial(waiting).state == TrialState.RUNNING
        storage.set_study_user_attr(0, "b", 1)
        assert other.get_study_user_attrs(0) == {"b": 1}
        storage.set_trial_user_attr(trial, "c", 1)
        assert other.get_trial(trial).user_attrs == {}
    assert other.get_trial(trial).user_attrs == {"a": 1, "c": 1}
    assert [len(entry["records"]) for entry in entries(store)[3:]] == [1, 1, 1, 2]


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt, GeneratorExit])
def test_what_a_block_that_raises_has_held_is_discarded(error):
    """Of a nested block that is caught, too; the storage goes on, and sees what all others see."""
    store = Store()
    back, storage, trial = started(store)
    with pytest.raises(error), back.together():
        storage.set_trial_user_attr(trial, "a", 1)
        raise error
    with back.together():
        storage.set_trial_user_attr(trial, "b", 1)
        with pytest.raises(error), back.together():
            storage.set_trial_user_attr(trial, "c", 1)
            raise error
    storage.set_trial_user_attr(trial, "d", 1)
    assert storage.get_trial(trial).user_attrs == opened(store)[1].get_trial(trial).user_attrs == {"b": 1, "d": 1}


@pytest.mark.parametrize(("fate", "stored"), [("before", False), ("after", True), ("late", True)])
def test_what_could_not_be_sent_is_stored_whole_or_not_at_all(fate, stored):
    """Whether or not the store had it already, the storage goes on and sees what all others see."""
    store = Store()
    back, storage, trial = started(store, patience=0)
    with pytest.raises(StoreError, match=r"mem://j/00000002.json cannot be written: "), back.together():
        storage.set_trial_user_attr(trial, "a", 1)
        storage.set_trial_user_attr(trial, "b", 1)
        # The answer, and the question whether it has been done all the same.
        store.fate = lambda operation, name: fate if operation == "create" else "before"
    store.fate = lambda operation, name: ""
    storage.set_trial_user_attr(trial, "c", 1)
    expected = {"a": 1, "b": 1, "c": 1} if stored else {"c": 1}
    assert storage.get_trial(trial).user_attrs == opened(store)[1].get_trial(trial).user_attrs == expected


def test_a_block_makes_no_request_until_it_ends():
    """Nothing that the store does can end it."""
    store = Store()
    back, storage, trial = started(store)
    before = len(store.requests)
    with back.together():
        for index in range(3):
            storage.set_trial_param(trial, f"x{index}", 0.5, FLOAT)
            storage.get_trial(trial)
        assert len(store.requests) == before


def test_blocks_of_threads_overlap():
    """Each writes an entry of its own, and a thread outside of any block does not wait for one."""
    store = Store()
    back, storage, trial = started(store)
    second = storage.create_new_trial(0)

    def outside():
        storage.set_trial_user_attr(second, "b", 1)
        with back.together():
            storage.set_trial_user_attr(second, "c", 1)

    with back.together():
        storage.set_trial_user_attr(trial, "a", 1)
        thread = threading.Thread(target=outside)
        thread.start()
        thread.join(600)
        other = opened(store)[1]
        assert other.get_trial(trial).user_attrs == {}
        assert other.get_trial(second).user_attrs == {"b": 1, "c": 1}
        storage.set_trial_user_attr(trial, "c", 1)
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
        (fail, "is about the same trial, of id 0"),
        (same_trial, "is about the same trial, of id 0"),
        (other_distribution, "gives 'x' another distribution"),
        (added_with_other_distribution, "gives 'x' another distribution"),
    ],
)
def test_what_was_taken_for_granted_and_is_not_so_is_told(meddle, why):
    """Nothing is written, and the storage goes on and sees what all others see."""
    store = Store()
    back, storage, trial = started(store)
    with pytest.raises(JournalConflictError, match=f"mem://j: another entry .*{why}"), back.together():
        storage.set_trial_param(trial, "x", 0.5, FLOAT)
        storage.set_trial_user_attr(trial, "c", 1)
        meddle(opened(store)[1])
        before = len(entries(store))
    assert len(entries(store)) == before
    assert storage.get_trial(trial).params == {} and "c" not in storage.get_trial(trial).user_attrs
    storage.set_trial_user_attr(storage.create_new_trial(0), "d", 1)
    assert seen(storage) == seen(opened(store)[1])


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
