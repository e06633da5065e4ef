"""Make ``tuning.json``: errors of scikit-learn's models on its built-in data, over a grid of their settings.

Run ``python -m benchmarks.tuning_tables`` once; it takes some minutes.
"""

from __future__ import annotations

import itertools
import json
import warnings
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.model_selection import cross_val_score
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from benchmarks.common import ROOT

TABLES = ROOT / "tuning.json"
# Settings of each model; the logarithms of floats are evenly spaced, except those of `alpha`.
GRIDS: dict[str, dict[str, list[Any]]] = {
    "SVM": {
        "kernel": ["rbf", "poly", "sigmoid"],
        "C": [10 ** (i / 2) for i in range(-6, 7)],
        "gamma": [10 ** (i / 2) for i in range(-10, 3)],
    },
    "tree": {
        "criterion": ["gini", "entropy"],
        "max_depth": [2, 4, 6, 8, 10, 12, 14, 16],
        "min_samples_leaf": [1, 2, 4, 6, 8, 10],
        "max_features": [10 ** (i / 5) for i in range(-5, 1)],
    },
    "MLP": {
        "activation": ["relu", "tanh"],
        "hidden_layer_sizes": [2, 4, 8, 16],
        "learning_rate_init": [10 ** (i / 2) for i in range(-8, 1)],
        "alpha": [1e-5, 1e-3, 0.1, 10.0],
    },
}


def _error(model: str, settings: dict[str, Any]) -> float:
    if model == "SVM":
        x, y = load_breast_cancer(return_X_y=True)
        made: Any = make_pipeline(StandardScaler(), SVC(**settings))
    elif model == "tree":
        x, y = load_digits(return_X_y=True)
        made = DecisionTreeClassifier(random_state=0, **settings)
    else:
        x, y = load_wine(return_X_y=True)
        made = make_pipeline(StandardScaler(), MLPClassifier(max_iter=30, random_state=0, **settings))
    scores = cross_val_score(made, x, y, cv=3, scoring="neg_log_loss" if model == "MLP" else None)
    return float(-np.mean(scores) if model == "MLP" else 1 - np.mean(scores))


def main() -> None:
    """Write the tables."""
    warnings.simplefilter("ignore")
    tables = {}
    for model, grid in GRIDS.items():
        errors = [_error(model, dict(zip(grid, values, strict=True))) for values in itertools.product(*grid.values())]
        tables[model] = {"grid": grid, "errors": [round(error, 5) for error in errors]}
    TABLES.write_text(json.dumps(tables) + "\n")


if __name__ == "__main__":
    main()
