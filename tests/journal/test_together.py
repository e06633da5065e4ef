"""Records that are written as one entry, or not at all."""

from contextlib import suppress

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from journals import FLOAT, entries, opened, seen, started, together
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial
from stores import Store

from flyteoptuna.errors import JournalConflictError, StoreError


def test_what_is_written_together_is_one_entry():
    """Nobody sees a part of it, its writer included."""
    store = Store()
    back, storage, trial = started(store)
    other = opened(store)[1]
    with together(back) as record:
        for index in range(3):
            record.set_trial_param(trial, f"x{index}", 0.5, FLOAT)
        record.set_trial_system_attr(trial, "s", [1])
        record.set_trial_intermediate_value(trial, 3, 0.25)
        record.set_trial_state_values(trial, TrialState.COMPLETE, [1.0])
        assert seen(storage) == seen(other) and other.get_trial(trial).params == {}
    assert len(entries(store)) == 3 and len(entries(store)[2]["records"]) == 6
    assert storage.get_trial(trial).state == TrialState.COMPLETE
    assert seen(other) == seen(storage) == seen(opened(store)[1])


@pytest.mark.parametrize(("fate", "stored"), [("before", False), ("after", True), ("late", True)])
def test_what_could_not_be_sent_is_stored_whole_or_not_at_all(fate, stored):
    """Whether or not the store had it already, the storage goes on and sees what all others see."""
    store = Store()
    back, storage, trial = started(store, patience=0)
    with pytest.raises(StoreError, match=r"mem://j/00000002.json cannot be written: "), together(back) as record:
        record.set_trial_user_attr(trial, "a", 1)
        record.set_trial_user_attr(trial, "b", 1)
        # The answer, and the question whether it has been done all the same.
        store.fate = lambda operation, name: fate if operation == "create" else "before"
    store.fate = lambda operation, name: ""
    storage.set_trial_user_attr(trial, "c", 1)
    expected = {"a": 1, "b": 1, "c": 1} if stored else {"c": 1}
    assert storage.get_trial(trial).user_attrs == opened(store)[1].get_trial(trial).user_attrs == expected


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
    with pytest.raises(JournalConflictError, match=f"mem://j: another entry .*{why}"), together(back) as record:
        record.set_trial_param(trial, "x", 0.5, FLOAT)
        record.set_trial_user_attr(trial, "c", 1)
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
def test_what_agrees_with_an_entry_may_come_before_it(meddle):
    """Others' trials are no conflict."""
    store = Store()
    back, storage, trial = started(store)
    with together(back) as record:
        record.set_trial_param(trial, "x", 0.5, FLOAT)
        meddle(opened(store)[1])
        record.set_trial_state_values(trial, TrialState.COMPLETE, [1.0])
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


STEPS = st.lists(st.sampled_from(["suggest x", "suggest y", "note", "report", "tell"]), min_size=1, max_size=8)


@settings(max_examples=150)
@given(STEPS, st.lists(st.sampled_from(["", "", "before", "after", "late"]), max_size=20), st.sampled_from([0, 1e9]))
def test_plain_optuna_tells_no_value_for_other_parameters_than_those_stored(steps, fates, poll):
    """Whatever request fails, and if the caller goes on with the same trial."""
    store, fates = Store(), iter(fates)
    study = optuna.create_study(study_name="s", storage=opened(store, poll=poll, patience=0)[1])
    trial = study.ask()
    store.fate = lambda operation, name: next(fates, "")
    actions = {
        "suggest x": lambda: trial.suggest_float("x", 0, 1),
        "suggest y": lambda: trial.suggest_int("y", 0, 9),
        "note": lambda: trial.set_user_attr("a", 1),
        "report": lambda: trial.report(1.0, 0),
        "tell": lambda: study.tell(trial, sum(trial.params.values())),
    }
    for step in [*steps, "tell"]:
        # Optuna refuses changes of a trial that has been told.
        with suppress(StoreError, RuntimeError, ValueError):
            actions[step]()
    store.fate = lambda operation, name: ""
    study._storage._backend.refresh()
    [mine], [others] = study.trials, optuna.load_study(study_name="s", storage=opened(store)[1]).trials
    assert mine == others
    # A parameter that nobody was given may be stored, because the answer to its request was lost.
    assert mine.params.items() >= trial.params.items()
    assert mine.state == TrialState.RUNNING or mine.value == sum(trial.params.values())
