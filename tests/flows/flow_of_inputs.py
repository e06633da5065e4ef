"""Fixed inputs that live in files, from an upstream task, handed to objectives and through callbacks."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import flytekit as fl
import optuna
import pandas as pd
from flytekit.types.directory import FlyteDirectory
from flytekit.types.file import FlyteFile

from flyteoptuna import Optimizer, optimize, suggest

# A type that has no hash.
Frame = Annotated[pd.DataFrame, fl.kwtypes(three=float)]


@dataclass
class Scale:
    factor: float
    names: list[str]


@fl.task
def data() -> tuple[FlyteFile, FlyteDirectory, Frame, Scale]:
    Path("one.txt").write_text("1.0")
    os.makedirs("folder", exist_ok=True)
    Path("folder/two.txt").write_text("2.0")
    return FlyteFile("one.txt"), FlyteDirectory("folder"), pd.DataFrame({"three": [3.0]}), Scale(4.0, ["a"])


@fl.task
def objective(file: FlyteFile, folder: FlyteDirectory, frame: Frame, scale: Scale, x: float) -> float:
    one = float(Path(file.download()).read_text())
    two = float((Path(folder.download()) / "two.txt").read_text())
    return one + two + frame["three"][0] + scale.factor + x


@fl.workflow
def by_space(n_trials: int = 3) -> tuple[optuna.Study, float]:
    file, folder, frame, scale = data()
    study = Optimizer(objective, 2, n_trials)(file=file, folder=folder, frame=frame, scale=scale, x=suggest.float(0, 1))
    return study, study.best_value


@optimize(concurrency=2)
async def callback(trial: optuna.Trial, file: FlyteFile, folder: FlyteDirectory, frame: Frame, scale: Scale):
    kind = trial.suggest_categorical("kind", ["plain", "scaled"])
    x = trial.suggest_float("x", 0, 1)
    if kind == "plain":
        return objective(file, folder, frame, scale, x)
    return objective(file, folder, frame=frame, scale=Scale(trial.suggest_int("factor", 5, 9), scale.names), x=x)


@fl.workflow
def by_callback(n_trials: int = 4) -> optuna.Study:
    file, folder, frame, scale = data()
    start = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    callback.n_trials, callback.study = n_trials, start
    return callback(file=file, folder=folder, frame=frame, scale=scale)


@fl.task
def pareto(params: dict[str, int | float | str], y: float = 2.0) -> tuple[float, float]:
    return float(params["a"]) + y, -y


@fl.task
def described(study: optuna.Study, best: list[int], completed: int) -> str:
    return json.dumps([len(study.trials), best, completed, [t.number for t in study.best_trials]])


@fl.workflow
def twice() -> tuple[optuna.Study, str]:
    start = optuna.create_study(directions=["minimize", "maximize"], sampler=optuna.samplers.RandomSampler(seed=1))
    optimizer = Optimizer(pareto, 2, 4, study=start)
    first = optimizer(params={"a": suggest.integer(0, 9), "b": {"c": "text"}["c"]}, y=suggest.float(0, 1))
    optimizer.study = first
    optimizer.n_trials = 3
    second = optimizer(params={"a": suggest.integer(0, 9)})
    return second, described(study=second, best=first.best_trials, completed=second.n_complete)
