"""Objectives that return models, frames and more beside their values, and the workflows that use them."""

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import flytekit as fl
import optuna
import pandas as pd
from flytekit.types.directory import FlyteDirectory
from flytekit.types.file import FlyteFile

from flyteoptuna import Optimizer, outputs, suggest


@dataclass
class Config:
    depth: int
    name: str


class Trained(NamedTuple):
    loss: float
    model: FlyteFile
    table: pd.DataFrame
    folder: FlyteDirectory
    parts: list[FlyteFile]
    config: Config
    items: dict[str, float]
    epochs: int
    quick: bool


@fl.task
def train(x: float, start: float = 0.5) -> Trained:
    """Writes its files where every trial does that runs in its process."""
    here = Path(tempfile.gettempdir()) / f"trained-{os.getpid()}"
    folder = here / "parts"
    folder.mkdir(parents=True, exist_ok=True)
    model, part = here / "model.json", folder / "part.json"
    model.write_text(json.dumps({"x": x, "start": start}))
    part.write_text(json.dumps(x))
    return Trained(
        (x - start) ** 2,
        FlyteFile(str(model)),
        pd.DataFrame({"x": [x]}),
        FlyteDirectory(str(folder)),
        [FlyteFile(str(model)), FlyteFile(str(part))],
        Config(3, f"at {x}"),
        {"x": x},
        7,
        True,
    )


class Scored(NamedTuple):
    loss: float
    study: optuna.Study
    model: FlyteFile


@fl.task
def score(
    model: FlyteFile,
    table: pd.DataFrame,
    folder: FlyteDirectory,
    parts: list[FlyteFile],
    config: Config,
    items: dict[str, float],
) -> float:
    """What the study says of the trial, if all of it is one trial's."""
    found = json.loads(Path(model.download()).read_text())
    x = found["x"]
    assert table["x"].tolist() == [x] and items == {"x": x} and config == Config(3, f"at {x}")
    assert json.loads((Path(folder.download()) / "part.json").read_text()) == x
    assert [json.loads(Path(part.download()).read_text()) for part in parts] == [found, x]
    return (x - found["start"]) ** 2


def scored(optimizer: Optimizer) -> Scored:
    study = optimizer(x=suggest.float(0, 1))
    best = optimizer.best
    loss = score(
        model=best.model,
        table=best.table,
        folder=best.folder,
        parts=best.parts,
        config=best.config,
        items=best.items,
    )
    return Scored(loss, study, best.model)


@fl.workflow
def batches() -> Scored:
    """A search in batches."""
    return scored(Optimizer(train, 2, 5))


@fl.workflow
def reused() -> Scored:
    """A search with reused pods."""
    return scored(Optimizer(train, 2, 5, reuse_pods=True))


@fl.task
def plain(x: float) -> float:
    return x


@fl.task
def nowhere(x: float) -> tuple[float, FlyteFile]:
    """A file that no driver could fetch."""
    return x, FlyteFile(f"s3://nowhere/{x}")


@fl.workflow
def unfetched() -> tuple[optuna.Study, FlyteFile]:
    """By a name that flytekit gives."""
    optimizer = Optimizer(nowhere, 2, 3)
    return optimizer(x=suggest.float(0, 1)), optimizer.best.o1


@fl.task
def front(x: float) -> tuple[float, float, FlyteFile]:
    file = Path(tempfile.gettempdir()) / f"front-{os.getpid()}.json"
    file.write_text(json.dumps([x, 1 - x]))
    return x, 1 - x, FlyteFile(str(file))


@fl.task
def checked(study: optuna.Study) -> int:
    """The number of trials whose file holds their values."""
    held = [json.loads(Path(outputs(study, t.number).o2.download()).read_text()) for t in study.best_trials]
    assert held == [t.values for t in study.best_trials]
    return len(held)


@fl.workflow
def several() -> int:
    """A Pareto front, each of whose trials has its own."""
    return checked(study=Optimizer(front, 2, 3, directions=["minimize", "minimize"])(x=suggest.float(0, 1)))


@fl.workflow
def unused(study: optuna.Study) -> optuna.Study:
    """Goes on with a study whose best trial may have no outputs, and misses none."""
    return Optimizer(train, 1, 1, study=study)(x=suggest.float(0, 1))


@fl.workflow
def used(study: optuna.Study) -> FlyteFile:
    """Wants one of them."""
    optimizer = Optimizer(train, 1, 1, study=study)
    optimizer(x=suggest.float(0, 1))
    return optimizer.best.model


class Model:
    """What flytekit can only pickle."""


@fl.task
def modelled(x: float) -> tuple[float, Model]:
    return x, Model()


@fl.task
def named(study: optuna.Study, number: int) -> str:
    return type(outputs(study, number).o1).__name__


@fl.task
def name_of(model: Model) -> str:
    return type(model).__name__


@fl.workflow
def read_by_number(study: optuna.Study, number: int = 0) -> str:
    """A task that takes the study of a search that has gone on."""
    return named(study=Optimizer(modelled, 1, 1, study=study)(x=suggest.float(0, 1)), number=number)


@fl.workflow
def read_as_best(study: optuna.Study) -> str:
    """A task that takes the best trial's."""
    optimizer = Optimizer(modelled, 1, 1, study=study, reuse_pods=True)
    optimizer(x=suggest.float(0, 1))
    return name_of(model=optimizer.best.o1)
