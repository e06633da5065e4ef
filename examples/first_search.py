"""Tune a random forest on scikit-learn's handwritten digits.

pyflyte run examples/first_search.py tune
python examples/first_search.py
"""

import flytekit as fl
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import cross_val_score

from flyteoptuna import Optimizer, suggest


@fl.task
def accuracy(max_depth: int, max_features: float, criterion: str) -> float:
    """Mean accuracy of three-fold cross-validation."""
    x, y = load_digits(return_X_y=True)
    model = RandomForestClassifier(
        n_estimators=50, max_depth=max_depth, max_features=max_features, criterion=criterion, random_state=0
    )
    return float(cross_val_score(model, x, y, cv=3).mean())


@fl.workflow
def tune(concurrency: int = 4, n_trials: int = 40) -> tuple[float, dict]:
    """The best accuracy and the parameters that gave it."""
    optimizer = Optimizer(accuracy, concurrency=concurrency, n_trials=n_trials, direction="maximize")
    study = optimizer(
        max_depth=suggest.integer(2, 16),
        max_features=suggest.float(0.01, 1.0, log=True),
        criterion=suggest.category(["gini", "entropy"]),
    )
    return study.best_value, study.best_params


if __name__ == "__main__":
    print(tune())
