"""A search with a conditional space and a rule for when to stop; its tests are in tests/, for `pytest`.

pyflyte run examples/tested/tuning.py tune
"""

import flytekit as fl
import optuna

from flyteoptuna import Optimizer

GOOD = 0.05


@fl.task
def train(kind: str, depth: int, rate: float) -> float:
    """Return the error of a model; a tree is best at a depth of 3."""
    return abs(rate - 0.1) + (abs(depth - 3) / 10 if kind == "tree" else 0.2)


def model(trial: optuna.Trial) -> float:
    """Suggest a depth for trees alone."""
    kind = trial.suggest_categorical("kind", ["tree", "linear"])
    depth = trial.suggest_int("depth", 1, 8) if kind == "tree" else 0
    return train(kind=kind, depth=depth, rate=trial.suggest_float("rate", 0.001, 1, log=True))


def good_enough(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
    """Stop once a model is good enough."""
    if trial.values and trial.values[0] < GOOD:
        study.stop()


def search(n_trials, concurrency, seed=0) -> Optimizer:
    """Make the optimizer, for the workflow and for its tests."""
    sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
    return Optimizer(model, concurrency, n_trials, callbacks=[good_enough], sampler=sampler)


@fl.workflow
def tune(n_trials: int = 40, concurrency: int = 4) -> optuna.Study:
    return search(n_trials, concurrency)()
