"""Searches of both kinds, over a task and over a callback, whose studies have the names of these."""

import flytekit as fl
import optuna

from flyteoptuna import Optimizer, suggest

X = suggest.float(0, 1)


@fl.task
def loss(x: float, y: float = 0.5) -> float:
    return x + y


@fl.task
def other(x: float) -> float:
    return x


def choose(trial: optuna.Trial, high: float) -> float:
    return other(x=trial.suggest_float("x", 0, high))


@fl.workflow
def batches(concurrency: int = 4, batch_size: int = 1) -> optuna.Study:
    return Optimizer(loss, concurrency, 2, batch_size=batch_size)(x=X)


@fl.workflow
def reused() -> optuna.Study:
    return Optimizer(choose, 2, 2, reuse_pods=True)(high=1.0)


@fl.workflow
def continued() -> optuna.Study:
    return Optimizer(other, 1, 1, study=batches())(x=X)
