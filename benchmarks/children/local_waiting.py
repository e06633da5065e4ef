"""Run a local search of unequal trials: ``local_waiting.py TRIALS SLOTS KIND``. Prints its seconds and its trials'."""

import json
import logging
import random
import sys
import time

import flytekit as fl
import optuna

from flyteoptuna import Optimizer, current_trial, suggest


def seconds_of(number: int) -> float:
    """What a trial takes, by its number: log-normal, with a mean of a second."""
    return random.Random(number).lognormvariate(-0.5, 1)


@fl.task
def objective(x: float) -> float:
    """Sleep, which the load of the machine does not lengthen."""
    time.sleep(seconds_of(current_trial().number))
    return x * x


if __name__ == "__main__":
    n_trials, slots = map(int, sys.argv[1:3])
    kind = sys.argv[3]
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("flyteoptuna").setLevel(logging.ERROR)
    how = {"reuse_pods": True} if kind == "reuse_pods" else {"batch_size": int(kind.split()[1]) * slots}
    sampler = optuna.samplers.RandomSampler(seed=0)
    start = time.perf_counter()
    found = Optimizer(objective, concurrency=slots, n_trials=n_trials, sampler=sampler, **how)(x=suggest.float(-1, 1))
    taken = time.perf_counter() - start
    assert len(found.trials) == n_trials
    print(json.dumps({"seconds": taken, "durations": [seconds_of(number) for number in range(n_trials)]}))
