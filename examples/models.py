"""Tune gradient-boosted trees, and use the best model, which is not trained again.

pyflyte run examples/models.py tune
"""

import tempfile
from pathlib import Path
from typing import NamedTuple

import flytekit as fl
import joblib
import pandas as pd
from flytekit.types.file import FlyteFile
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import accuracy_score
from sklearn.model_selection import train_test_split

from flyteoptuna import Optimizer, suggest


class Split(NamedTuple):
    train: pd.DataFrame
    test: pd.DataFrame


class Trained(NamedTuple):
    accuracy: float
    model: FlyteFile


class Tuned(NamedTuple):
    accuracy: float
    again: float
    model: FlyteFile


@fl.task
def split() -> Split:
    """569 tumours, 30 measures of each, and whether it is benign."""
    return Split(*train_test_split(load_breast_cancer(as_frame=True).frame, random_state=0))


@fl.task
def train(data: pd.DataFrame, test: pd.DataFrame, rate: float, leaves: int) -> Trained:
    """The accuracy, which is the value of the trial, and the model, which is kept with it."""
    model = HistGradientBoostingClassifier(max_iter=20, random_state=0, learning_rate=rate, max_leaf_nodes=leaves)
    model.fit(data.drop(columns="target"), data["target"])
    # A folder of its own: trials of a local run may write at the same time.
    path = Path(tempfile.mkdtemp()) / "model.joblib"
    joblib.dump(model, path)
    return Trained(accuracy(model, test), FlyteFile(str(path)))


def accuracy(model: HistGradientBoostingClassifier, data: pd.DataFrame) -> float:
    return float(accuracy_score(data["target"], model.predict(data.drop(columns="target"))))


@fl.task
def score(model: FlyteFile, data: pd.DataFrame) -> float:
    """The accuracy of a model that is loaded."""
    return accuracy(joblib.load(model.download()), data)


@fl.workflow
def tune(concurrency: int = 2, n_trials: int = 5) -> Tuned:
    """The best accuracy, that of the model when it is used again, and the model."""
    data = split()
    optimizer = Optimizer(train, concurrency, n_trials, direction="maximize")
    rate, leaves = suggest.float(0.01, 1.0, log=True), suggest.integer(4, 64, log=True)
    study = optimizer(data=data.train, test=data.test, rate=rate, leaves=leaves)
    again = score(model=optimizer.best.model, data=data.test)
    return Tuned(study.best_value, again, optimizer.best.model)
