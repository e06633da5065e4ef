"""Searches that meet what production holds: caches, retries, pruners, limits."""

import os
import sys
from datetime import timedelta

import flytekit as fl
import optuna
from flytekit.exceptions.user import FlyteRecoverableException

from flyteoptuna import Optimizer, current_trial, suggest


def seeded() -> optuna.Study:
    return optuna.create_study(sampler=optuna.samplers.TPESampler(seed=5, n_startup_trials=2))


@fl.task
def line(x: float) -> float:
    return x


@fl.workflow
def plain(n_trials: int = 4) -> optuna.Study:
    return Optimizer(line, 2, n_trials, study=seeded())(x=suggest.float(0, 1))


@fl.task(cache=True, cache_version="1")
def cached(point: int, unit: float) -> float:
    if point == 2:
        raise ValueError(f"{point} is bad luck for {current_trial().number}")
    return point * unit


@fl.workflow
def with_cache(n_trials: int = 9) -> optuna.Study:
    start = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=3))
    return Optimizer(cached, 3, n_trials, study=start)(point=suggest.integer(0, 3), unit=0.5)


@fl.task(retries=2, timeout=timedelta(minutes=3), interruptible=True, environment={"COLOUR": "blue"})
def settled(x: float) -> float:
    attempt = os.environ.get("FLYTE_ATTEMPT_NUMBER", "0")
    if attempt == "0" and current_trial().number == 1:
        raise FlyteRecoverableException("once more")
    trial = current_trial()
    trial.set_user_attr("attempt", attempt)
    trial.set_user_attr("colour", os.environ["COLOUR"])
    trial.set_user_attr(
        "modules", [name for name in ("optuna", "plotly", "flyteoptuna.search.batches.driver") if name in sys.modules]
    )
    return x


@fl.workflow
def with_settings() -> optuna.Study:
    return Optimizer(settled, 2, 2)(x=suggest.float(0, 1))


@fl.task
def slope(x: float) -> float:
    for step in range(4):
        current_trial().report(x / (step + 1), step)
        if current_trial().should_prune():
            raise optuna.TrialPruned(f"at {step}")
    return x


@fl.workflow
def with_pruner(n_trials: int = 9) -> optuna.Study:
    start = optuna.create_study(
        sampler=optuna.samplers.RandomSampler(seed=0), pruner=optuna.pruners.MedianPruner(n_startup_trials=2)
    )
    return Optimizer(slope, 3, n_trials, study=start)(x=suggest.float(0, 1))


def stop_at_three(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
    if trial.number == 3:
        study.stop()


@fl.workflow
def with_callback(n_trials: int = 200) -> optuna.Study:
    optimizer = Optimizer(line, 1, n_trials, batch_size=2, callbacks=[stop_at_three])
    return optimizer(x=suggest.float(0, 1))


@fl.workflow
def exhausted(n_trials: int = 30) -> optuna.Study:
    optimizer = Optimizer(cached, 2, n_trials, avoid_duplicates=True)
    return optimizer(point=suggest.integer(0, 3), unit=suggest.float(0.5, 0.5))


@fl.workflow
def limited(n_trials: int = 12) -> optuna.Study:
    optimizer = Optimizer(cached, 3, n_trials, max_failures=0)
    return optimizer(point=suggest.integer(2, 2), unit=suggest.float(0, 1))


@fl.workflow
def no_time(timeout: float = 0.0) -> optuna.Study:
    given = optuna.create_study()
    given.add_trial(optuna.trial.create_trial(value=1.0))
    return Optimizer(line, 1, 3, study=given, timeout=timeout)(x=suggest.float(0, 1))


@fl.task
def searched_within(n_trials: int) -> float:
    study = Optimizer(line, 2, n_trials, study=seeded())(x=suggest.float(0, 1))
    return study.best_value


@fl.workflow
def within_a_task(n_trials: int = 4) -> float:
    return searched_within(n_trials=n_trials)


@fl.dynamic
def searches(n_trials: int) -> float:
    large = seeded()
    large.add_trials(optuna.trial.create_trial(value=9.0, user_attrs={"note": "x" * 1000}) for _ in range(1000))
    return Optimizer(line, 2, n_trials, study=large)(x=suggest.float(0, 1)).best_value


@fl.workflow
def within_a_dynamic(n_trials: int = 4) -> float:
    return searches(n_trials=n_trials)


@fl.task
def words(count: int) -> list[str]:
    return ["0123456789"] * count


@fl.task
def counted(x: float, words: list[str]) -> float:
    return x


@fl.workflow
def heavy(count: int) -> float:
    return Optimizer(counted, 2, 20)(x=suggest.integer(0, 9), words=words(count=count)).best_value
