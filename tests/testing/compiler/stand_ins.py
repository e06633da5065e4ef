"""Tasks that do nothing, with inputs and outputs of many types."""

import enum
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, NamedTuple

import optuna
import pandas as pd
from flytekit import StructuredDataset
from flytekit.types.directory import FlyteDirectory
from flytekit.types.error import FlyteError
from flytekit.types.file import FlyteFile
from testing.compiler.cases import stand_in

import flyteoptuna.flyte.study_type  # noqa: F401


class Colour(enum.Enum):
    RED = "red"
    GREEN = "green"


@dataclass
class Point:
    x: int
    y: float


@dataclass
class Point3(Point):
    z: float


@dataclass
class Line:
    start: Point
    names: list[str]
    points: list[Point]
    weights: dict[str, float]
    colour: Colour = Colour.RED
    end: Point | None = None


class Two(NamedTuple):
    first: int
    second: str


class Thing: ...


AB = Annotated[pd.DataFrame, OrderedDict(a=int, b=str)]
A = Annotated[pd.DataFrame, OrderedDict(a=int)]
C = Annotated[pd.DataFrame, OrderedDict(c=int)]
ACsv = Annotated[StructuredDataset, OrderedDict(a=int), "csv"]


add = stand_in("add", int, a=int, b=(int, 1))
double = stand_in("double", int, a=int)
half = stand_in("half", float, x=float)
text = stand_in("text", str, s=str)
total = stand_in("total", int, xs=list[int])
texts = stand_in("texts", str, xs=list[str])
numbers = stand_in("numbers", list[int], n=int)
grid = stand_in("grid", list[list[int]], rows=list[list[int]])
nothing = stand_in("nothing", None)
two = stand_in("two", Two, a=int)
optional = stand_in("optional", int | None, a=(int | None, None))
optionals = stand_in("optionals", int, xs=list[int | None])
optional_list = stand_in("optional_list", list[int] | None, xs=(list[int] | None, None))
either = stand_in("either", int | str, a=int | str)
lists = stand_in("lists", int, xs=list[int] | list[str])
table = stand_in("table", dict[str, int], d=dict[str, int])
bare = stand_in("bare", dict, d=dict)
bares = stand_in("bares", list[dict], ds=list[dict])
whatever = stand_in("whatever", Any, a=Any)
whatevers = stand_in("whatevers", list[dict[str, Any]], ds=list[dict[str, Any]])
point = stand_in("point", Point, p=Point)
point3 = stand_in("point3", Point3, p=Point3)
points = stand_in("points", list[Point], ps=list[Point])
maybe_point = stand_in("maybe_point", Point | None, p=Point | None)
line = stand_in("line", Line, n=int)
paint = stand_in("paint", Colour, colour=Colour)
palette = stand_in("palette", Colour, colours=list[Colour])
brush = stand_in("brush", Colour | None, colour=Colour | None)
csv = stand_in("csv", FlyteFile["csv"], f=FlyteFile["csv"])
txt = stand_in("txt", FlyteFile["txt"], f=FlyteFile["txt"])
file = stand_in("file", FlyteFile, f=FlyteFile)
folder = stand_in("folder", FlyteDirectory, f=FlyteDirectory)
frame = stand_in("frame", pd.DataFrame, d=pd.DataFrame)
frame_ab = stand_in("frame_ab", AB, d=AB)
frame_a = stand_in("frame_a", A, d=A)
frame_c = stand_in("frame_c", C, d=C)
frame_csv = stand_in("frame_csv", ACsv, d=ACsv)
thing = stand_in("thing", Thing, t=Thing)
study = stand_in("study", optuna.Study, s=optuna.Study)
check = stand_in("check", bool, a=int)
moment = stand_in("moment", datetime, t=datetime, d=timedelta)
clean = stand_in("clean", None, a=int, err=(FlyteError | None, None))
