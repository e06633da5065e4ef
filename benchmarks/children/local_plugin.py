"""Run a local search with flytekitplugins-optuna: ``local_plugin.py TRIALS CONCURRENCY``. Prints its seconds."""

import asyncio
import json
import sys
import time

import flytekit as fl
import optuna
from flytekitplugins.optuna import Optimizer, suggest

n_trials, concurrency = map(int, sys.argv[1:])
optuna.logging.set_verbosity(optuna.logging.ERROR)


@fl.task
async def objective(x: float, y: float) -> float:
    """As trivial as an objective can be."""
    return x * x + y * y


@fl.eager
async def train() -> float:
    """The search."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    optimizer = Optimizer(objective=objective, concurrency=concurrency, n_trials=n_trials, study=study)
    await optimizer(x=suggest.float(low=-10, high=10), y=suggest.float(low=-10, high=10))
    assert len(study.trials) == n_trials
    return study.best_value


start = time.perf_counter()
asyncio.run(train())
print(json.dumps({"seconds": time.perf_counter() - start}))
