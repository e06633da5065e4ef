"""A search that is run in pods, as a local run and in memory."""

import math

import flytekit as fl
import optuna
from optuna.samplers import NSGAIISampler, TPESampler

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


@fl.task
def score(kind: str, depth: int, rate: float) -> float:
    number = current_trial().number
    if number == 1:
        return math.nan
    if number == 4:
        current_trial().report(rate, step=0)
        raise optuna.TrialPruned
    if number == 5:
        raise RuntimeError("the fifth fails")
    return rate + depth if number < 10 else -1.0


@fl.task
def lost(x: float) -> float:
    return x


@fl.task
def failing(x: float) -> float:
    raise ValueError("none works")
    return x


def conditional(trial: optuna.Trial) -> float:
    kind = trial.suggest_categorical("kind", ["tree", "linear"])
    depth = trial.suggest_int("depth", 1, 8) if kind == "tree" else 0
    return score(kind=kind, depth=depth, rate=trial.suggest_float("rate", 0.001, 1, log=True))


def good_enough(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
    if trial.values and trial.values[0] < 0:
        study.stop()


def within(trial: optuna.trial.FrozenTrial) -> tuple[float, ...]:
    return (trial.params["x"] - 0.5,)


def optimizer(origin, n_trials, **settings):
    return Optimizer(
        origin, 2, n_trials, batch_size=3, **{"sampler": TPESampler(seed=4, n_startup_trials=3), **settings}
    )


MADE = {
    "searched": (lambda: optimizer(objective, 8), SPACE),
    "stopped": (lambda: optimizer(conditional, 30, callbacks=[good_enough], max_failures=5), {}),
    "exhausted": (lambda: optimizer(lost, 30, avoid_duplicates=True), {"x": suggest.float(0, 3, step=1)}),
    "constrained": (
        lambda: optimizer(lost, 6, sampler=NSGAIISampler(seed=4, population_size=3, constraints_func=within)),
        {"x": suggest.float(0, 1)},
    ),
    "lossy": (lambda: optimizer(lost, 6), {"x": suggest.float(0, 1)}),
    "failed": (lambda: optimizer(failing, 30, max_failures=4), {"x": suggest.float(0, 1)}),
}
"""The optimizer of each workflow, and what it is called with."""


def made(name):
    make, inputs = MADE[name]
    return make()(**inputs)


@fl.workflow
def searched() -> optuna.Study:
    return made("searched")


@fl.workflow
def stopped() -> optuna.Study:
    return made("stopped")


@fl.workflow
def exhausted() -> optuna.Study:
    return made("exhausted")


@fl.workflow
def constrained() -> optuna.Study:
    return made("constrained")


@fl.workflow
def lossy() -> optuna.Study:
    return made("lossy")


@fl.workflow
def failed() -> optuna.Study:
    return made("failed")
