"""Searches in this process and its workers."""

import optuna

from flyteoptuna import Optimizer, suggest
from flyteoptuna.search.local.worker_pool import WORKERS


def searched(objective, monkeypatch, workers, **fixed):
    monkeypatch.setenv(WORKERS, workers)
    start = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=1, n_startup_trials=2))
    return Optimizer(objective, 3, 6, study=start)(x=suggest.float(0, 1), **fixed)
