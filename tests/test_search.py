"""Searches from end to end, in one process."""

import math
import sys

import flytekit as fl
import optuna
import pytest

from flyteoptuna import Optimizer, SearchFailedError, optimize, suggest
from flyteoptuna.study import ERROR_ATTRIBUTE


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
    optimizer = Optimizer(square, concurrency=4, n_trials=20, study=optuna.create_study())
    study = optimizer(suggest.float(-1, 1))
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


def test_five_hundred_generations_run_locally():
    """Neither Python's recursion limit nor the length of a path is in the way."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    assert len(Optimizer(awaited, 1, 500, study=study)(x=suggest.float(0, 1)).trials) == 500


@fl.dynamic
def dynamic(x: float) -> float:
    return x


@fl.task
def text(x: float) -> str:
    return ""


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Optimizer(searched, 1, 1), "must be a plain @task"),
        (lambda: Optimizer(dynamic, 1, 1), "must be a plain @task"),
        (lambda: Optimizer(text, 1, 1), "must return a float or a tuple of floats"),
        (lambda: Optimizer(square, True, 1), "`concurrency` must be a positive int.*True"),
        (lambda: Optimizer(square, 1, 2.0), "`n_trials` must be a positive int.*2.0"),
        (lambda: Optimizer(square, 0, 1), "`concurrency >= 1` must hold, but got concurrency=0"),
        (lambda: Optimizer(square, 1, 1, study="s"), "`study` must be an optuna.Study, but got 's'"),
        (lambda: Optimizer(nested, 1, 1, study=optuna.create_study()), "has 1 and .*nested returns 2"),
        (lambda: Optimizer(square, 1, 1)(y=1), "has no input `y`; it has: x, power"),
        (lambda: Optimizer(square, 1, 1)(1.0, x=1.0), "`x` of .*square was given twice"),
        (lambda: Optimizer(square, 1, 1)(power=1), "missing: x"),
        (lambda: Optimizer(square, 1, 1)(x=1.0), "At least one input must hold a suggestion"),
    ],
)
def test_bad_input_is_refused_where_it_is_written(make, match):
    """The rule and the value stand in the message, before anything runs."""
    with pytest.raises((TypeError, ValueError), match=match):
        make()


def test_a_trial_reports_without_importing_what_it_does_not_need():
    """`import flyteoptuna` alone imports neither optuna nor flytekit."""
    import subprocess

    code = "import sys, flyteoptuna, flyteoptuna.trial; assert not {'optuna', 'flytekit', 'plotly'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
