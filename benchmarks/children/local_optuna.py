"""Run a search with ``study.optimize``: ``local_optuna.py TRIALS``. Prints its seconds."""

import json
import sys
import time

import optuna

optuna.logging.set_verbosity(optuna.logging.ERROR)


def objective(trial: optuna.Trial) -> float:
    """As trivial as an objective can be."""
    return trial.suggest_float("x", -10, 10) ** 2 + trial.suggest_float("y", -10, 10) ** 2


study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
start = time.perf_counter()
study.optimize(objective, n_trials=int(sys.argv[1]))
print(json.dumps({"seconds": time.perf_counter() - start}))
