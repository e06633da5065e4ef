"""Tune gradient-boosted trees on scikit-learn's breast cancer data: by a dictionary of suggestions, and by a callback.

pyflyte run examples/trees.py tune
pyflyte run examples/trees.py tune_by_callback
"""

import flytekit as fl
import optuna
import pandas as pd
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import cross_val_score

from flyteoptuna import Optimizer, optimize, suggest


@fl.task
def load() -> pd.DataFrame:
    """569 tumours, 30 measures of each, and whether it is benign."""
    return load_breast_cancer(as_frame=True).frame


@fl.task
def accuracy(data: pd.DataFrame, params: dict[str, int | float | None]) -> float:
    """Mean accuracy of three-fold cross-validation."""
    model = HistGradientBoostingClassifier(max_iter=20, random_state=0, **params)
    features, target = data.drop(columns="target"), data["target"]
    return float(cross_val_score(model, features, target, cv=3).mean())


def maximised() -> optuna.Study:
    return optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0, constant_liar=True))


@fl.workflow
def tune(concurrency: int = 4, n_trials: int = 12) -> tuple[float, dict]:
    """Every trial draws the same parameters."""
    optimizer = Optimizer(accuracy, concurrency, n_trials, study=maximised())
    study = optimizer(
        data=load(),
        params={
            "learning_rate": suggest.float(0.01, 1.0, log=True),
            "max_leaf_nodes": suggest.integer(4, 64, log=True),
            "l2_regularization": suggest.float(0.0, 2.0),
            "max_depth": suggest.category([None, 3, 6]),
        },
    )
    return study.best_value, study.best_params


@optimize(study=maximised())
def by_growth(trial: optuna.Trial, data: pd.DataFrame):
    """Trees are limited by their depth or by their leaves, and each has a parameter of its own."""
    params: dict = {"learning_rate": trial.suggest_float("learning_rate", 0.01, 1.0, log=True)}
    if trial.suggest_categorical("limit", ["depth", "leaves"]) == "depth":
        params["max_depth"] = trial.suggest_int("max_depth", 2, 8)
        params["max_leaf_nodes"] = None
    else:
        params["max_leaf_nodes"] = trial.suggest_int("max_leaf_nodes", 4, 64, log=True)
    return accuracy(data, params=params)


@fl.workflow
def tune_by_callback(concurrency: int = 4, n_trials: int = 12) -> tuple[float, dict]:
    """The callback decides in the driver what a trial is run with."""
    by_growth.concurrency, by_growth.n_trials = concurrency, n_trials
    study = by_growth(data=load())
    return study.best_value, study.best_params
