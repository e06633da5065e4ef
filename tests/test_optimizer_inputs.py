"""Bad input is refused where it is written, with the rule, the value and the path; good input is taken."""

from datetime import timedelta

import flytekit as fl
import numpy as np
import optuna
import pytest
from objectives import X, built, pair, square

from flyteoptuna import Optimizer, optimize, suggest


@fl.task
def words() -> tuple[str, int]:
    return "word", 3


@fl.task
def made() -> optuna.Study:
    return optuna.create_study()


@fl.task
def text(x: float) -> str:
    return ""


@fl.task
def nothing(x: float) -> None: ...


@fl.task
def reserved(optuna_trial: int) -> float:
    return 0.0


@fl.dynamic
def dynamic(x: float) -> float:
    return square(x=x)


@fl.eager
async def eager(x: float) -> float:
    return x


@fl.reference_task(project="p", domain="d", name="n", version="v")
def reference(x: float) -> float: ...


@fl.workflow
def flow(x: float = 1.0) -> float:
    return square(x=x)


def callback(trial: optuna.Trial, power: int, data: dict[str, float] = {}):  # noqa: B006
    return square(trial.suggest_float("x", -1, 1), power)


def starred(trial: optuna.Trial, **fixed: int):
    return square(1.0, 1)


def untyped(trial, power):
    return square(1.0, power)


def without_trial(x: float):
    return square(x)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Optimizer(flow, 1, 1), "must be a plain @task, but got .*flow"),
        (lambda: Optimizer(fl.LaunchPlan.get_or_create(flow), 1, 1), "must be a plain @task"),
        (lambda: Optimizer(dynamic, 1, 1), "must be a plain @task"),
        (lambda: Optimizer(eager, 1, 1), "must be a plain @task"),
        (lambda: Optimizer(reference, 1, 1), "must be a plain @task"),
        (lambda: Optimizer("square", 1, 1), "must be a plain @task, but got 'square'"),
        (lambda: Optimizer(text, 1, 1), "must return a float or a tuple of floats, but .*text returns str"),
        (lambda: Optimizer(nothing, 1, 1), "must return a float or a tuple of floats, but .*nothing returns nothing"),
        (lambda: Optimizer(reserved, 1, 1), "must not have an input named `optuna_trial`"),
        (lambda: Optimizer(square, True, 1), "`concurrency` must be a positive int.*True"),
        (lambda: Optimizer(square, 1, 2.0), r"`n_trials` must be a positive int.*2.0 \(float\)"),
        (lambda: Optimizer(square, 1, "2"), r"`n_trials` must be a positive int.*'2' \(str\)"),
        (lambda: Optimizer(square, np.float64(1), 1), "`concurrency` must be a positive int.*float"),
        (lambda: Optimizer(square, None, 1), "`concurrency` must be a positive int.*None"),
        (lambda: Optimizer(square, 0, 1), "`concurrency >= 1` must hold, but got concurrency=0"),
        (lambda: Optimizer(square, 1, -3), "`n_trials >= 1` must hold, but got n_trials=-3"),
        (lambda: Optimizer(square, 1, 1, batch_size=0), "`batch_size >= 1` must hold, but got batch_size=0"),
        (lambda: Optimizer(square, 1, 1, max_failures=-1), "`max_failures >= 0` must hold"),
        (lambda: Optimizer(square, 1, 1, max_failures=1.0), "`max_failures` must be a non-negative int.*1.0"),
        (lambda: Optimizer(square, 1, 1, timeout=-1), "`timeout >= 0` must hold, but got timeout=-1"),
        (lambda: Optimizer(square, 1, 1, timeout=float("nan")), "`timeout >= 0` must hold, but got timeout=nan"),
        (lambda: Optimizer(square, 1, 1, timeout="1h"), "`timeout` must be seconds, a timedelta.*'1h'"),
        (lambda: Optimizer(square, 1, 1, callbacks=[1]), "`callbacks` must be callables, but got 1"),
        (lambda: Optimizer(square, 1, 1, callbacks=print), "`callbacks` must be a list"),
        (
            lambda: Optimizer(square, 1, 1, avoid_duplicates=1),
            "`avoid_duplicates` must be a bool or a promise of one, but got 1",
        ),
        (lambda: Optimizer(square, 1, 1, study="s"), "`study` must be an optuna.Study, but got 's'"),
        (lambda: Optimizer(pair, 1, 1, study=optuna.create_study()), "has 1 and .*pair returns 2"),
        (lambda: Optimizer(without_trial, 1, 1), r"a callback with a parameter named `trial`, but without_trial takes"),
        (lambda: Optimizer(untyped, 1, 1), "must have a type, but `power` of untyped has none"),
        (lambda: Optimizer(starred, 1, 1), r"must have a name, but starred takes `\*\*fixed"),
        (lambda: Optimizer(lambda trial: 1, 1, 1), "a function at the top of a module"),
        (lambda: Optimizer(callback, 1, 1)(power=suggest.integer(1, 2)), "suggests by its trial.*`power`"),
        (lambda: Optimizer(callback, 1, 1)(), "Inputs of callback are missing: power"),
        (lambda: Optimizer(callback, 1, 1)(2, trial=1), "callback has no input `trial`"),
        (lambda: Optimizer(square, 1, 1)(y=1), "has no input `y`; it has: x, power"),
        (lambda: Optimizer(square, 1, 1)(1.0, x=1.0), "`x` of .*square was given twice"),
        (
            lambda: optimize(objective=square, n_trials=1)(callback),
            r"got the function callback\. .*@optimize\(task=square",
        ),
        (lambda: Optimizer(square, 1, 1)(1.0, 2, 3), "takes 2 inputs, but got 3 positional"),
        (lambda: Optimizer(square, 1, 1)(power=1), "missing: x"),
        (lambda: Optimizer(square, 1, 1)(x=1.0), "At least one input must hold a suggestion"),
        (
            lambda: Optimizer(pair, 1, 1, directions=["minimize"] * 2)(
                params={"a": suggest.integer(0, 1), "b": object()}, y=1.0
            ),
            "`params.b`",
        ),
    ],
)
def test_bad_input_is_refused_where_it_is_written(make, match):
    """The rule and the value stand in the message, before anything runs."""
    with pytest.raises((TypeError, ValueError), match=match):
        make()


@pytest.mark.parametrize(
    "body",
    [
        lambda: Optimizer(square, words()[1], made().n_complete, study=made())(**X),
        lambda: Optimizer(square, 1, 1, timeout=made().best_value, max_failures=words()[1])(**X),
        lambda: Optimizer(square, 1, 1, timeout=timedelta(minutes=1), batch_size=words()[1])(**X),
    ],
)
def test_what_fits_is_taken(body):
    """Promises of the right type."""
    built(body)


def test_optimize_takes_tasks_and_callbacks_with_and_without_parentheses():
    """And the settings may be set afterwards."""
    for tuned in (optimize(square), optimize()(square), optimize(concurrency=2)(callback), optimize(callback)):
        assert isinstance(tuned, Optimizer)
        tuned.n_trials = 0
        with pytest.raises(ValueError, match="`n_trials >= 1` must hold, but got n_trials=0"):
            tuned(2.0)
