"""Trials that keep a processor busy, and one that kills its process."""

import os
import time

import flytekit as fl
import optuna

from flyteoptuna import Optimizer, current_trial, suggest


@fl.task
def busy(x: float, seconds: float) -> float:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
    current_trial().set_user_attr("process", os.getpid())
    return x


@fl.task
def deadly(x: float, parent: int) -> float:
    if current_trial().number == 1 and os.getpid() != parent:
        os._exit(3)
    return x


@fl.task
def interrupted(x: float) -> float:
    if current_trial().number == 5:
        raise KeyboardInterrupt
    return x


@fl.task
def failing(x: float) -> float:
    if x >= 0:
        raise ValueError(x)
    return x


@fl.task
def pruned(x: float) -> float:
    for step in range(3):
        current_trial().report(x + step, step)
        if current_trial().should_prune():
            raise optuna.TrialPruned
    return x


@fl.workflow
def main(n_trials: int = 8, seconds: float = 0.5) -> tuple[float, int]:
    start = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    study = Optimizer(busy, 4, n_trials, study=start)(x=suggest.float(0, 1), seconds=seconds)
    return study.best_value, study.n_complete
