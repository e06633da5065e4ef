"""A search that is run in pods, as a local run and in memory."""

import flytekit as fl
import optuna
from optuna.samplers import TPESampler

from flyteoptuna import Optimizer, current_trial, suggest

SPACE = {"x": suggest.float(-1, 1), "inner": {"n": suggest.integer(0, 9), "c": suggest.category(["a", "b"])}}


@fl.task
def objective(x: float, inner: dict) -> float:
    trial = current_trial()
    if trial.number == 3:
        raise ValueError("the third fails")
    trial.set_user_attr("n", inner["n"])
    trial.report(x, step=1)
    return x * inner["n"]


def optimizer(n_trials):
    return Optimizer(objective, 2, n_trials, batch_size=3, sampler=TPESampler(seed=4, n_startup_trials=3))


@fl.workflow
def searched(n_trials: int) -> optuna.Study:
    return optimizer(n_trials)(**SPACE)
