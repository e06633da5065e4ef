"""Searches in this process and its workers."""

import os
import subprocess
import sys

import optuna

from flyteoptuna import Optimizer, suggest
from flyteoptuna.local.worker_pool import WORKERS


def searched(objective, monkeypatch, workers, **fixed):
    monkeypatch.setenv(WORKERS, workers)
    start = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=1, n_startup_trials=2))
    return Optimizer(objective, 3, 6, study=start)(x=suggest.float(0, 1), **fixed)


def python(folder, *args, count):
    """What Python makes of these arguments, in a folder and a process of its own, with so many worker processes."""
    return subprocess.run(
        [sys.executable, *args],
        cwd=folder,
        env={**os.environ, WORKERS: count},
        check=False,
        capture_output=True,
        text=True,
        timeout=600,
    )
