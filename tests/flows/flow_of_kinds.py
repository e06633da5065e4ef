"""Fixed inputs of many kinds: plain ones, outputs of tasks, fields of a promised dataclass, narrower than declared."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Optional, Union

import flytekit as fl
import optuna
import pandas as pd
from flytekit.types.directory import FlyteDirectory
from flytekit.types.file import FlyteFile
from flytekit.types.structured import StructuredDataset

from flyteoptuna import Optimizer, optimize, suggest

HERE = Path(__file__).parent
WHEN, LONG = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc), timedelta(hours=1)
Columns = Annotated[pd.DataFrame, fl.kwtypes(a=int)]


class Color(Enum):
    RED = "r"
    BLUE = "b"


@dataclass
class Inner:
    rate: float
    tags: list[str] = field(default_factory=list)


@dataclass
class Config:
    number: float
    when: datetime
    long: timedelta
    color: Color
    inner: Inner
    items: list[int]
    nested: list[list[float]]
    table: dict[str, int]
    deep: dict[str, list[int]]
    file: FlyteFile
    nothing: Optional[int] = None  # noqa: UP045
    perhaps: Optional[list[int]] = None  # noqa: UP045
    inners: list[Inner] = field(default_factory=list)


@fl.task
def fields(
    number: float,
    when: datetime,
    long: timedelta,
    color: Color,
    inner: Inner,
    items: list[int],
    nested: list[list[float]],
    table: dict[str, int],
    deep: dict[str, list[int]],
    file: FlyteFile,
    nothing: Optional[int],  # noqa: UP045
    perhaps: Optional[list[int]],  # noqa: UP045
    inners: list[Inner],
    x: float,
) -> float:
    assert (number, when, long, color, inner) == (3.0, WHEN, LONG, Color.BLUE, Inner(0.5, ["a"]))
    assert (type(number), type(items[0]), type(nested[0][0])) == (float, int, float)
    assert (items, nested, table, deep) == ([1, 2], [[1.0], []], {"a": 1}, {"b": [3]})
    assert (nothing, perhaps, inners) == (None, [4], [Inner(0.25)])
    assert Path(file.download()).read_text() == "one"
    return x


@fl.task
def config() -> Config:
    Path("one.txt").write_text("one")
    file, inner = FlyteFile("one.txt"), Inner(0.5, ["a"])
    rest = [1, 2], [[1.0], []], {"a": 1}, {"b": [3]}, file, None, [4], [Inner(0.25)]
    # An int in a field of floats is one in msgpack as well.
    return Config(3, WHEN, LONG, Color.BLUE, inner, *rest)


def search(objective, reuse_pods, **inputs):
    return Optimizer(objective, 2, 4, reuse_pods=reuse_pods)(**inputs, x=suggest.float(0, 1)).n_complete


def by_fields(reuse_pods):
    made = config()
    names = [name for name in Config.__dataclass_fields__ if name != "deep"]
    return search(fields, reuse_pods, **{name: getattr(made, name) for name in names}, deep=made.deep)


@fl.workflow
def of_fields() -> int:
    return by_fields(reuse_pods=False)


@fl.workflow
def of_fields_reused() -> int:
    return by_fields(reuse_pods=True)


@fl.task
def unions(
    items: Union[list[int], None],  # noqa: UP007
    table: dict | None,
    several: Union[list[str], dict[str, int], int],  # noqa: UP007
    mixed: list[int | str],
    text: int | str,
    nothing: str | None,
    files: list[FlyteFile] | None,
    color: Color,
    anything: Any,
    inner: Inner,
    when: datetime,
    x: float,
) -> float:
    assert (items, table, several, mixed, text, nothing) == ([1, 2], {"a": [1]}, ["a"], [1, "b"], "c", None)
    assert files is None or [Path(file.download()).read_text() for file in files] == ["one"]
    assert (color, anything, inner, when) == (Color.RED, {1, 2}, Inner(0.5), WHEN)
    return x


PLAIN = {
    "items": [1, 2],
    "table": {"a": [1]},
    "several": ["a"],
    "mixed": [1, "b"],
    "text": "c",
    "nothing": None,
    "color": Color.RED,
    "inner": Inner(0.5),
    "when": WHEN,
}


@fl.task
def thing() -> tuple[Any, FlyteFile, int]:
    Path("one.txt").write_text("one")
    return {1, 2}, FlyteFile("one.txt"), 2


def by_writing(reuse_pods):
    anything, file, two = thing()
    given = {**PLAIN, "items": [1, two], "files": [file]}
    return search(unions, reuse_pods, **given, anything=anything)


@fl.workflow
def of_plain() -> int:
    anything, _, _ = thing()
    return search(unions, False, **PLAIN, files=None, anything=anything)


@fl.workflow
def of_lists_with_promises() -> int:
    return by_writing(reuse_pods=False)


@fl.workflow
def of_lists_with_promises_reused() -> int:
    return by_writing(reuse_pods=True)


@fl.task
def narrow() -> tuple[FlyteFile, FlyteDirectory, StructuredDataset, pd.DataFrame, Optional[int]]:  # noqa: UP045
    Path("one.csv").write_text("one")
    Path("folder").mkdir(exist_ok=True)
    Path("folder/one").write_text("one")
    frame = pd.DataFrame({"a": [1], "b": [2.0]})
    return FlyteFile["csv"]("one.csv"), FlyteDirectory("folder"), StructuredDataset(frame), frame, 1


@fl.task
def declared(
    file: FlyteFile["tsv"],  # noqa: F821 - a format
    folder: FlyteDirectory,
    data: Columns,
    frame: Annotated[StructuredDataset, fl.kwtypes(b=float)],
    number: int | None,
    x: float,
) -> float:
    assert Path(file.download()).read_text() == "one"
    assert (Path(folder.download()) / "one").read_text() == "one"
    assert (data["a"][0], frame.open(pd.DataFrame).all()["b"][0], number) == (1, 2.0, 1)
    return x


@fl.workflow
def of_narrower() -> int:
    file, folder, data, frame, number = narrow()
    return search(declared, False, file=file, folder=folder, data=data, frame=frame, number=number)


@fl.workflow
def of_narrower_reused() -> int:
    file, folder, data, frame, number = narrow()
    return search(declared, True, file=file, folder=folder, data=data, frame=frame, number=number)


@optimize(concurrency=2, n_trials=4)
def by_callback(trial, file: FlyteFile, folder: FlyteDirectory, data: StructuredDataset, items: list[int]):
    x = trial.suggest_float("x", 0, 1)
    return declared(file=file, folder=folder, data=data, frame=data, number=items[0], x=x)


@fl.workflow
def of_a_callback() -> int:
    file, folder, data, _, _ = narrow()
    made = config()
    return by_callback(file=file, folder=folder, data=data, items=made.items).n_complete


@fl.task
def named(η: float, größe: list[int], x: float, ñ: int) -> tuple[float, str]:  # noqa: PLC2401
    return η + sum(größe) + x + ñ, "kept"


def by_names(reuse_pods):
    _, _, two = thing()
    optimizer = Optimizer(named, 2, 4, reuse_pods=reuse_pods)
    study = optimizer(η=1.0, größe=[1, two], x=suggest.float(0, 1), ñ=suggest.integer(1, 2))
    return study.n_complete, optimizer.best.o1


@fl.workflow
def of_names() -> tuple[int, str]:
    return by_names(reuse_pods=False)


@fl.workflow
def of_names_reused() -> tuple[int, str]:
    return by_names(reuse_pods=True)


@fl.task
def plain(x: float, depth: int, kind: str, mixed: int | str | None, as_float: float) -> float:
    return x


@fl.task
def refit(x: float, depth: int, kind: str, mixed: int | str | None, as_float: float, params: dict) -> float:
    assert params == {"x": x, "depth": depth, "kind": kind, "mixed": mixed, "as_float": as_float}
    return x


def by_parameters(reuse_pods):
    study = Optimizer(plain, 2, 4, reuse_pods=reuse_pods)(
        x=suggest.float(0, 1),
        depth=suggest.integer(1, 5),
        kind=suggest.category(["a", "b"]),
        mixed=suggest.category([None, 1, "a"]),
        as_float=suggest.integer(1, 5),
    )
    best = study.best_params
    return refit(
        x=best["x"], depth=best.depth, kind=best["kind"], mixed=best["mixed"], as_float=best["as_float"], params=best
    )


@fl.workflow
def of_parameters() -> float:
    return by_parameters(reuse_pods=False)


@fl.workflow
def of_parameters_reused() -> float:
    return by_parameters(reuse_pods=True)


@fl.workflow
def two_searches() -> tuple[int, int]:
    first = Optimizer(plain, 2, 3, reuse_pods=True)
    given = {"depth": 1, "kind": "a", "mixed": None, "as_float": 1.0}
    one = first(x=suggest.float(0, 1), **given)
    two = first(x=suggest.float(0, 1), **given)
    return one.n_complete, two.n_complete


@fl.workflow
def long() -> int:
    made, (_, file, _) = config(), thing()
    given = {"items": made.items, "files": [file], **{k: v for k, v in PLAIN.items() if k != "items"}}
    return Optimizer(unions, 2, 40)(**given, anything=thing().o0, x=suggest.float(0, 1)).n_complete


def promised(study, n_trials, timeout, limit, distinct, **more):
    settings = {"timeout": timeout, "max_failures": limit, "avoid_duplicates": distinct}
    optimizer = Optimizer(half, n_trials, n_trials, study=study, **settings, **more)
    return optimizer(x=suggest.float(0, 1))


@fl.task
def half(x: float) -> tuple[float, str]:
    return x / 2, "kept"


@fl.workflow
def from_inputs(
    study: Optional[optuna.Study] = None,  # noqa: UP045
    n_trials: int = 2,
    timeout: float = 100.0,
    limit: Optional[int] = None,  # noqa: UP045
    distinct: bool = False,
) -> int:
    first = promised(study, n_trials, timeout, limit, distinct, batch_size=n_trials)
    return promised(first, first.n_complete, timeout, first.n_fail, distinct, reuse_pods=True).n_trials
