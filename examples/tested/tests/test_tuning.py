"""Tests of a search: any of them in memory, in seconds; one in processes, with pods that die."""

from hypothesis import given, settings
from hypothesis import strategies as st
from tuning import GOOD, search, tune

from flyteoptuna import current_trial, testing
from flyteoptuna.testing import strategies


@settings(deadline=None)
@given(
    n_trials=st.integers(1, 30),
    concurrency=st.integers(1, 5),
    seed=st.integers(0, 1000),
    errors=st.lists(strategies.outcomes(), min_size=1, max_size=10),
    minutes=st.lists(st.floats(1, 60), min_size=1),
)
def test_any_search_holds_what_it_promises(n_trials, concurrency, seed, errors, minutes):
    """Whatever the errors of the models are, and whatever fails, is pruned or is lost."""

    def error(kind, depth, rate):
        assert (depth == 0) == (kind == "linear")
        return strategies.apply_outcome(errors[current_trial().number % len(errors)])

    optimizer = search(n_trials, concurrency, seed)
    made = testing.simulate(
        optimizer, {}, objective=error, durations=lambda number, params: 60 * minutes[number % len(minutes)]
    )
    testing.check(made.study, optimizer, sampler=search(n_trials, concurrency, seed).sampler)
    # No batch is asked after the one that holds a model that is good enough.
    good = [trial.number for trial in made.study.trials if trial.values and trial.values[0] < GOOD]
    if good:
        assert len(made.study.trials) <= (good[0] // concurrency + 1) * concurrency


def test_two_pods_that_die_change_nothing():
    """Flyte starts them again, and the study is that of the search in memory, to the bit."""
    made = testing.run(tune, n_trials=6, concurrency=2, kill=testing.RandomPods(2, seed=1, among=6))
    undisturbed = testing.simulate(search(6, 2), {})
    assert [pod.outcome.name for pod in made.pods].count("KILLED") == 2
    assert [(t.params, t.values) for t in made.outputs.trials] == [
        (t.params, t.values) for t in undisturbed.study.trials
    ]


def test_a_trial_that_is_lost_for_good_has_failed_and_no_other():
    """Where Flyte does not start its pod again; a map may lose each of its trials."""
    lost = testing.RandomPods(1, of=".trial-", among=2)
    study = testing.run(tune, n_trials=4, concurrency=2, system_retries=0, kill=lost).outputs
    assert sorted(trial.state.name for trial in study.trials) == ["COMPLETE"] * 3 + ["FAIL"]
    [failed] = [trial for trial in study.trials if trial.state.name == "FAIL"]
    assert "sent no report" in failed.user_attrs["flyteoptuna:error"]


def test_the_space_has_a_depth_for_trees_alone():
    """By what the trials were asked with, without any objective."""
    trials = testing.simulate(search(30, 3), {}, objective=lambda **inputs: 1.0).study.trials
    assert {("depth" in trial.params, trial.params["kind"]) for trial in trials} == {(True, "tree"), (False, "linear")}
