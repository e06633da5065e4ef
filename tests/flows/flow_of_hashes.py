"""Inputs and outputs whose annotations say a hash, a format, columns, or something to show or to register."""

from pathlib import Path
from typing import Annotated, NamedTuple, Optional

import flytekit as fl
import optuna
import pandas as pd
from flytekit import HashMethod, kwtypes
from flytekit.core.annotation import FlyteAnnotation
from flytekit.core.artifact import Artifact, Inputs
from flytekit.core.type_engine import BatchSize
from flytekit.deck.renderer import TopFrameRenderer
from flytekit.types.directory import FlyteDirectory
from flytekit.types.file import FlyteFile
from flytekit.types.structured import StructuredDataset

from flyteoptuna import Optimizer, optimize, suggest


def length(frame: pd.DataFrame) -> str:
    return f"{len(frame)} rows"


def content(file: FlyteFile) -> str:
    return Path(file).read_text()


Hashed = Annotated[pd.DataFrame, HashMethod(length)]
Columns = Annotated[pd.DataFrame, kwtypes(x=float), HashMethod(length)]
Shown = Annotated[pd.DataFrame, TopFrameRenderer(3)]
Number = Annotated[float, HashMethod(repr)]
Text = Annotated[str, FlyteAnnotation({"a": 1}), HashMethod(str.upper)]
File = Annotated[FlyteFile, HashMethod(content)]
Folder = Annotated[FlyteDirectory, BatchSize(2), HashMethod(lambda folder: "folder")]
Registered = Annotated[FlyteFile, Artifact(name="models")]
OfRegion = Annotated[FlyteFile, Artifact(name="models", partition_keys=["region"])(region=Inputs.region)]


class Made(NamedTuple):
    loss: Number
    frame: Hashed
    columns: Columns
    shown: Shown
    text: Text
    file: File
    folder: Folder
    registered: Registered
    of_region: OfRegion
    frames: list[Hashed]
    by_name: dict[str, File]
    perhaps: Optional[Hashed]  # noqa: UP045
    dataset: Annotated[StructuredDataset, "parquet", HashMethod(lambda dataset: "dataset")]
    epochs: Annotated[int, HashMethod(str)]


def made(x: float, region: str) -> Made:
    frame = pd.DataFrame({"x": [x]})
    Path("folder").mkdir(exist_ok=True)
    Path("file.txt").write_text(region)
    Path("folder/part.txt").write_text(region)
    file = FlyteFile("file.txt")
    rest = frame, frame, frame, region, file, FlyteDirectory("folder"), file, file, [frame, frame], {"a": file}, frame
    return Made(x, *rest, StructuredDataset(dataframe=frame), 7)


@fl.task(enable_deck=True)
def train(x: Number, region: Text) -> Made:
    return made(x, region)


@fl.task
def used(
    frame: Hashed,
    columns: Columns,
    shown: Shown,
    text: Text,
    file: File,
    folder: Folder,
    registered: Registered,
    of_region: OfRegion,
    frames: list[Hashed],
    by_name: dict[str, File],
    perhaps: Optional[Hashed],  # noqa: UP045
    dataset: Annotated[StructuredDataset, "parquet"],
    x: Number = 0.0,
    region: str = "north",
) -> float:
    """Checks that each is what the trial has made."""
    for each in (frame, columns, shown, *frames, perhaps, dataset.open(pd.DataFrame).all()):
        assert each["x"].tolist() == frame["x"].tolist()
    for each in (file, registered, of_region, *by_name.values()):
        assert Path(each.download()).read_text() == text == region
    assert (Path(folder.download()) / "part.txt").read_text() == region
    return x


def outputs_of(optimizer) -> dict:
    return {name: optimizer.best[name] for name in optimizer.best}


def both(reuse_pods: bool) -> int:
    """One search makes all of them, and another has them for fixed inputs."""
    optimizer = Optimizer(train, 2, 4, reuse_pods=reuse_pods)
    optimizer(x=suggest.float(0, 1), region="north")
    again = Optimizer(used, 2, 4, reuse_pods=reuse_pods)
    return again(**outputs_of(optimizer), x=suggest.float(0, 1)).n_complete


@fl.workflow
def batches() -> int:
    return both(reuse_pods=False)


@fl.workflow
def reused() -> int:
    return both(reuse_pods=True)


@optimize(concurrency=2, n_trials=4)
def by_callback(trial: optuna.Trial, frame: Hashed, file: File, folder: Folder, frames: list[Hashed]):
    parts = {"columns": frame, "shown": frame, "perhaps": frame, "dataset": StructuredDataset(dataframe=frame)}
    files = {"registered": file, "of_region": file, "by_name": {"a": file}, "folder": folder}
    x = trial.suggest_float("x", 0, 1)
    return used(frame=frame, file=file, frames=frames, text="north", **parts, **files, x=x)


@fl.workflow
def of_a_callback() -> int:
    optimizer = Optimizer(train, 2, 4)
    optimizer(x=suggest.float(0, 1), region="north")
    best = optimizer.best
    return by_callback(frame=best.frame, file=best.file, folder=best.folder, frames=best.frames).n_complete


@fl.task
def load(rows: int) -> tuple[Hashed, list[Hashed]]:
    """Writes another file each time."""
    frame = pd.DataFrame({"x": [1.0] * rows})
    return frame, [frame]


@fl.task(cache=True, cache_version="1")
def cached(data: Hashed, parts: list[Hashed], x: int) -> float:
    return float(x + len(data) + len(parts))


def seeded() -> optuna.Study:
    return optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=3))


@fl.workflow
def with_cache(rows: int, n_trials: int) -> float:
    data, parts = load(rows=rows)
    study = Optimizer(cached, 1, n_trials, study=seeded())(data=data, parts=parts, x=suggest.integer(0, 10**9))
    return study.best_value


@optimize(concurrency=1)
def cached_by_callback(trial: optuna.Trial, data: Hashed, parts: list[Hashed]):
    return cached(data=data, parts=parts, x=trial.suggest_int("x", 0, 10**9))


@fl.workflow
def callback_with_cache(rows: int, n_trials: int) -> float:
    data, parts = load(rows=rows)
    cached_by_callback.study = seeded()
    cached_by_callback.n_trials = n_trials
    return cached_by_callback(data=data, parts=parts).best_value
