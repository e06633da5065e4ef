"""Gradient-boosted trees that are pruned by the callbacks of optuna-integration."""

from typing import Any

import flytekit as fl
import numpy as np
import optuna

from flyteoptuna import current_trial


def halves() -> tuple[Any, Any, Any, Any]:
    """Data to train on, and to look at."""
    random = np.random.default_rng(1)
    x = random.normal(size=(300, 4))
    y = x[:, 0] * 2 + np.sin(x[:, 1] * 3) + random.normal(size=300) / 4
    return x[:200], y[:200], x[200:], y[200:]


def lightgbm_error(trial: Any, rate: float, leaves: int) -> float:
    import lightgbm
    from optuna_integration import LightGBMPruningCallback

    x, y, other_x, other_y = halves()
    train, seen = lightgbm.Dataset(x, y), dict[str, Any]()
    lightgbm.train(
        {"learning_rate": rate, "num_leaves": leaves, "metric": "l2", "num_threads": 1, "verbose": -1},
        train,
        num_boost_round=20,
        valid_sets=[lightgbm.Dataset(other_x, other_y, reference=train)],
        callbacks=[lightgbm.record_evaluation(seen), LightGBMPruningCallback(trial, "l2")],
    )
    return float(seen["valid_0"]["l2"][-1])


def xgboost_error(trial: Any, rate: float, leaves: int) -> float:
    import xgboost
    from optuna_integration import XGBoostPruningCallback

    x, y, other_x, other_y = halves()
    seen: dict[str, Any] = {}
    xgboost.train(
        {"learning_rate": rate, "max_leaves": leaves, "nthread": 1},
        xgboost.DMatrix(x, y),
        num_boost_round=20,
        evals=[(xgboost.DMatrix(other_x, other_y), "seen")],
        evals_result=seen,
        callbacks=[XGBoostPruningCallback(trial, "seen-rmse")],
        verbose_eval=False,
    )
    return float(seen["seen"]["rmse"][-1])


@fl.task
def lightgbm(rate: float, leaves: int) -> float:
    return lightgbm_error(current_trial(), rate, leaves)


@fl.task
def xgboost(rate: float, leaves: int) -> float:
    return xgboost_error(current_trial(), rate, leaves)


ERRORS = {"lightgbm": (lightgbm, lightgbm_error), "xgboost": (xgboost, xgboost_error)}


def to_prune() -> optuna.Study:
    return optuna.create_study(
        sampler=optuna.samplers.TPESampler(seed=1, n_startup_trials=4),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=2, n_warmup_steps=3),
    )
