"""Run a local search with flyteoptuna: ``local_flyteoptuna.py TRIALS BATCH [BUSY]``. Prints its seconds.

With BUSY, each trial keeps a core busy for so many seconds.
"""

import json
import logging
import sys
import time

import flytekit as fl
import optuna

from flyteoptuna import Optimizer, suggest


@fl.task
def objective(x: float, y: float) -> float:
    """As trivial as an objective can be."""
    return x * x + y * y


@fl.task
def busy(x: float, y: float, seconds: float) -> float:
    """The same, after seconds of work."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
    return x * x + y * y


if __name__ == "__main__":
    n_trials, batch = map(int, sys.argv[1:3])
    fixed = {"seconds": float(sys.argv[3])} if sys.argv[3:] else {}
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("flyteoptuna").setLevel(logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    optimizer = Optimizer(busy if fixed else objective, concurrency=batch, n_trials=n_trials, study=study)
    start = time.perf_counter()
    found = optimizer(x=suggest.float(low=-10, high=10), y=suggest.float(low=-10, high=10), **fixed)
    seconds = time.perf_counter() - start
    assert len(found.trials) == n_trials
    print(json.dumps({"seconds": seconds}))
