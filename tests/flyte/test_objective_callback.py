"""Callbacks, which call an objective that is not run."""

import flytekit as fl
import optuna

from flyteoptuna import optimize


@fl.task
def square(x: float, power: int = 2) -> float:
    if x > 0.9:
        raise ValueError("too far")
    return abs(x) ** power


@optimize(concurrency=2, n_trials=3)
async def of_the_eager_plugin(trial: optuna.Trial, power: int):
    return await square(x=trial.suggest_float("x", -1, 0.5), power=power)


def test_an_async_callback_may_await_the_objective():
    """As it is written for flytekit's eager plugin."""
    assert [t.value for t in of_the_eager_plugin(power=1).trials if t.value != abs(t.params["x"])] == []
    assert len(of_the_eager_plugin(power=1).trials) == 3
