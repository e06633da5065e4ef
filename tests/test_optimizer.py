"""Searches from end to end, in one process."""

import inspect
import math

import flytekit as fl
import optuna
import pytest

import flyteoptuna
from flyteoptuna import Optimizer, SearchFailedError, optimize, suggest
from flyteoptuna.trial.report import ERROR_ATTRIBUTE


@fl.task
def square(x: float, power: int = 2) -> float:
    if x > 0.9:
        raise ValueError("too far")
    return abs(x) ** power


@fl.task
async def awaited(x: float) -> float:
    return x


@fl.task
def nested(params: dict[str, int | float | str], y: float) -> tuple[float, float]:
    return float(params["depth"]) + params["rate"], y


@fl.task
def broken(x: float) -> float:
    return math.nan


@fl.task
def count(study: optuna.Study) -> int:
    return len(study.trials)


@fl.workflow
def searched(concurrency: int = 3, n_trials: int = 7) -> tuple[float, int, int, float]:
    optimizer = Optimizer(square, concurrency=concurrency, n_trials=n_trials)
    study = optimizer(x=suggest.float(-1, 0.5))
    again = Optimizer(square, 2, 3)
    again(x=suggest.float(-1, 0.5), power=suggest.integer(1, 3))
    return study.best_value, study.n_trials, count(study=again.study), optimizer.study.best_params["x"]


def test_a_workflow_searches_twice_over_one_objective():
    """Attributes of the promise resolve, and any task may take the study."""
    best, n_trials, counted, x = searched()
    assert (n_trials, counted) == (7, 3)
    assert best == x**2


@pytest.mark.parametrize(("concurrency", "n_trials"), [(0, 1), (1, 0), (-1, 1)])
def test_a_promise_that_turns_out_below_one_is_an_error(concurrency, n_trials):
    """The rule and the value stand in the message."""
    with pytest.raises(Exception, match=">= 1` must hold, but got"):
        searched(concurrency=concurrency, n_trials=n_trials)


def test_ordinary_python_gets_the_study_and_it_goes_on():
    """Failures stay on their trials, and a search continues another's study."""
    given = optuna.create_study()
    optimizer = Optimizer(square, concurrency=4, n_trials=20, study=given)
    study = optimizer(suggest.float(-1, 1))
    assert given.trials == []
    assert [t.number for t in study.trials] == list(range(20))
    for trial in study.trials:
        failed = trial.params["x"] > 0.9
        assert (trial.state == optuna.trial.TrialState.FAIL) == failed
        assert ("too far" in trial.user_attrs.get(ERROR_ATTRIBUTE, "")) == failed
    more = Optimizer(square, 2, 3, study=study)(x=suggest.float(-1, 1), power=1)
    assert len(more.trials) == 23
    assert [t.params for t in more.trials[:20]] == [t.params for t in study.trials]


def test_nested_spaces_async_objectives_and_two_directions():
    """Names are dotted paths, and a tuple has a direction for each value."""
    study = optuna.create_study(directions=["minimize", "maximize"])
    found = Optimizer(nested, 2, 4, study=study)(
        params={"depth": suggest.integer(1, 4), "rate": 0.5, "kind": suggest.category(["a"])}, y=suggest.float(0, 1)
    )
    assert set(found.trials[0].params) == {"params.depth", "params.kind", "y"}
    assert found.trials[0].values == [found.trials[0].params["params.depth"] + 0.5, found.trials[0].params["y"]]
    tuned = optimize(concurrency=2)(awaited)
    tuned.n_trials = 3
    assert len(tuned(x=suggest.float(0, 1)).trials) == 3


def test_a_search_that_completes_nothing_quotes_the_cause():
    """An error, not a study without a best trial."""
    with pytest.raises(Exception, match="objective returned nan") as caught:
        Optimizer(broken, 2, 4)(x=suggest.float(0, 1))
    assert isinstance(caught.value, SearchFailedError) or SearchFailedError.__name__ in str(caught.value)


@fl.task
def within() -> float:
    return Optimizer(square, 2, 4)(x=suggest.float(0, 0.5)).best_value


def test_a_task_may_run_a_search():
    """It gets the study itself."""
    assert 0 <= within() <= 0.5


@pytest.mark.parametrize(
    "sampler",
    [
        optuna.samplers.GridSampler({"x": [0.0, 0.5, 1.0], "power": [1, 2, 3, 4]}, seed=1),
        optuna.samplers.BruteForceSampler(seed=1),
    ],
)
def test_an_exhausted_sampler_ends_the_search(sampler):
    """No point is run twice, though the batch does not divide their number and more trials were allowed."""
    study = optuna.create_study(sampler=sampler)
    optimizer = Optimizer(square, concurrency=5, n_trials=50, study=study)
    found = optimizer(x=suggest.float(0, 1, step=0.5), power=suggest.integer(1, 4))
    assert len({tuple(t.params.values()) for t in found.trials}) == len(found.trials) == 12


def test_five_hundred_generations_run_locally():
    """Neither Python's recursion limit nor the length of a path is in the way."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    assert len(Optimizer(awaited, 1, 500, study=study)(x=suggest.float(0, 1)).trials) == 500


def test_who_types_is_shown_what_there_is_to_type():
    """As a notebook asks: public names alone, and the settings of an optimizer, which are no plain attributes."""
    assert dir(flyteoptuna) == sorted(flyteoptuna.__all__)
    assert dir(suggest) == ["category", "float", "integer"]
    shown = [name for name in dir(Optimizer(square)) if not name.startswith("_")]
    settings = [name for name in inspect.signature(Optimizer).parameters if name not in ("objective", "task", "study")]
    assert sorted(shown) == sorted({*settings, "best", "objective", "study", "task"})
