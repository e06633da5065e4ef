"""What holds of every search, and that `check` sees where it does not."""

import optuna
import pytest
from hypothesis import given, settings
from optuna.trial import TrialState

from flyteoptuna import Optimizer, suggest, testing
from flyteoptuna.internals.optuna_internals import trial_record
from flyteoptuna.study.system_attrs import update_trial_mark
from flyteoptuna.testing import strategies
from flyteoptuna.testing.strategies import objective

SPACE = {"inputs": {"x": suggest.float(0, 1), "n": suggest.integer(0, 8, step=2), "c": suggest.category([1, True])}}


@settings(max_examples=60)
@given(search=strategies.searches())
def test_what_must_hold_holds_of_every_search(search):
    """Whatever its space, its settings, and what becomes of its trials; and again, to the bit."""
    made = search.simulate()
    plain = not (search.optimizer.reuse_pods or search.optimizer.avoid_duplicates)
    inputs = search.inputs if "inputs" in search.inputs else None
    testing.check(made.study, search.optimizer, inputs, sampler=search.sampler() if plain else None)
    again = search.simulate()
    assert [(t.params, t.values, t.state) for t in again.study.trials] == [
        (t.params, t.values, t.state) for t in made.study.trials
    ]
    assert again.timeline == made.timeline


def searched(**given):
    kwargs = {"concurrency": 2, "n_trials": 6, "batch_size": 3, "sampler": sampler(), **given}
    optimizer = Optimizer(objective, **kwargs)
    return testing.simulate(optimizer, SPACE).study, optimizer


def sampler(seed=1):
    return optuna.samplers.RandomSampler(seed=seed)


def without_the_last(study):
    study._storage._studies[study._study_id].trials.pop()


def running(study):
    trial_record(study, 2).state = TrialState.RUNNING


def renumbered(study):
    trial_record(study, 2).number = 1


def with_values(study):
    trial_record(study, 2).state = TrialState.FAIL


def without_a_value(study):
    trial_record(study, 2).values = [float("nan")]


def of_another_batch(study):
    update_trial_mark(study, 3, generation=0)


def of_none(study):
    update_trial_mark(study, 3, generation=7)


def param(name, value):
    def changed(study):
        trial_record(study, 2).params[name] = value

    return changed


def renamed(study):
    record = trial_record(study, 2)
    record.params["other"] = record.params.pop("inputs.x")


def otherwise(study):
    record = trial_record(study, 2)
    record.distributions = {
        **record.distributions,
        "inputs.c": optuna.distributions.CategoricalDistribution([1, True, 2]),
    }


BROKEN = {
    otherwise: r"`inputs\.c` of trial 2 must be asked by .*\(1, True\).*, but was by .*\(1, True, 2\)",
    without_the_last: "must have 6 trials, but has 5",
    running: "Trial 2 must have been told, but is RUNNING",
    renumbered: r"must be 0 to 5, but are \[0, 1, 1, 3",
    with_values: "Trial 2 has failed, and must have no values",
    without_a_value: r"Trial 2 must have 1 value\(s\), but has \[nan\]",
    of_another_batch: "Generation 0 must have 3 trials, but has 4",
    of_none: "one generation after another",
    renamed: "a parameter `other` that the space does not have",
}


@pytest.mark.parametrize("change", BROKEN, ids=lambda change: change.__name__)
def test_a_rule_that_is_broken_is_named(change):
    """With what was found."""
    study, optimizer = searched()
    testing.check(study, optimizer, SPACE, sampler=sampler())
    change(study)
    with pytest.raises(AssertionError, match=BROKEN[change]):
        testing.check(study, optimizer, SPACE)


@pytest.mark.parametrize(
    ("name", "value"), [("x", 1.5), ("x", 1), ("n", 3), ("n", 10), ("n", True), ("c", 1.0), ("c", "1")]
)
def test_a_parameter_that_its_suggestion_does_not_suggest_is_named(name, value):
    """Out of its range, between its steps, or of another type."""
    study, optimizer = searched()
    param(f"inputs.{name}", value)(study)
    for inputs in (SPACE, None):
        with pytest.raises(AssertionError, match=rf"`inputs\.{name}` of trial 2 must be one of .*, but is {value!r}"):
            testing.check(study, optimizer, inputs)


def test_parameters_that_the_sampler_would_not_have_suggested_are_named():
    """At the first that differs."""
    study, optimizer = searched()
    with pytest.raises(AssertionError, match=r"`inputs\.x` of trial 0 must be 0\.\d+, but is 0\.\d+"):
        testing.check(study, optimizer, SPACE, sampler=sampler(seed=2))


def test_budgets_that_were_exceeded_are_named():
    """Batches that were asked after the timeout, failures beyond the last batch that may have them, workers."""
    study, _ = searched()
    for changes, message in [
        ({"timeout": 1}, r"Trial 3 was asked after the timeout of 1 s"),
        ({"concurrency": 1, "batch_size": None}, "Generation 0 must have 1 trials, but has 3"),
    ]:
        other = Optimizer(objective, **{"concurrency": 2, "n_trials": 6, "batch_size": 3, **changes})
        with pytest.raises(AssertionError, match=message):
            testing.check(study, other, SPACE)
    for number in range(6):
        record = trial_record(study, number)
        record.state, record.values = TrialState.FAIL, None
    strict = Optimizer(objective, 2, 6, batch_size=3, max_failures=1)
    with pytest.raises(AssertionError, match=r"At most 1 \+ 3 trials may fail"):
        testing.check(study, strict, SPACE)
    study, _ = searched(reuse_pods=True, batch_size=None)
    with pytest.raises(AssertionError, match="at most 1 workers, but were 2"):
        testing.check(study, Optimizer(objective, 1, 6, reuse_pods=True), SPACE)


def test_what_cannot_be_checked_is_refused():
    """A study of no search, and a sampler where trials depend on more."""
    study, optimizer = searched(reuse_pods=True, batch_size=None)
    with pytest.raises(ValueError, match="depend on more than the sampler"):
        testing.check(study, optimizer, SPACE, sampler=sampler())
    with pytest.raises(TypeError, match=r"`study` must be a study, but got None \(NoneType\)"):
        testing.check(None, optimizer, SPACE)
    with pytest.raises(TypeError, match="`optimizer` must be an Optimizer, but got 3"):
        testing.check(study, 3, SPACE)
    with pytest.raises(TypeError, match="`sampler` must be a sampler, but got 3"):
        testing.check(study, optimizer, SPACE, sampler=3)
    with pytest.raises(ValueError, match="must be of a search"):
        testing.check(optuna.create_study(), optimizer, SPACE)
