"""Records that are held back and go out as one entry."""

import threading

import pytest
from journals import FLOAT, entries, opened, seen, started
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial
from stores import Store

from flyteoptuna.errors import JournalConflictError, JournalError


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
        thread.join(600)
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
