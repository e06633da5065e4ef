"""Searches over nested inputs of many types, and tasks that get the best trial's inputs as the objective got them."""

from dataclasses import dataclass, field
from enum import Enum

import flytekit as fl
import optuna
from flytekit.types.file import FlyteFile

from flyteoptuna import Optimizer, inputs, optimize, suggest


class Kind(Enum):
    TREE = "t"
    LINEAR = "l"


@dataclass
class Inner:
    rate: float
    kind: Kind = Kind.TREE


@dataclass
class Config:
    inner: Inner
    depth: int = 3
    sizes: list[float] = field(default_factory=list)


GIVEN = {
    "config": {"inner": {"rate": suggest.integer(1, 3), "kind": suggest.category(list(Kind))}, "sizes": [1, 2]},
    "params": {"a.b": suggest.category([1, 2.5]), "c": {"deep": suggest.integer(1, 9), "kept": [1, {"x": None}]}},
    "weights": {"first": suggest.category([1, 0.5]), "second": 2},
    "kind": suggest.category(["TREE", "LINEAR"]),
    "x": suggest.integer(0, 5),
    "text": suggest.category(["one", None]),
}


@fl.task
def score(
    config: Config, params: dict, weights: dict[str, float], kind: Kind, x: float, text: str | None, offset: int = 1
) -> float:
    """Fails where a type differs from that of the input."""
    assert type(config) is Config and type(config.inner.rate) is float and type(config.inner.kind) is Kind
    assert [*map(type, config.sizes)] == [float, float] and type(params["c"]["deep"]) is int
    assert [*map(type, weights.values())] == [float, float] and type(kind) is Kind and type(x) is float
    assert params["c"]["kept"] == [1, {"x": None}] and text in ("one", None)
    return x + config.inner.rate + params["a.b"] + weights["first"] + offset


def refitted(study, offset: int) -> float:
    best = study.best_inputs
    given = {name: best[name] for name in ("config", "params", "weights", "kind", "x", "text")}
    return score(**given, offset=offset)


@fl.task
def difference(value: float, again: float, study: optuna.Study, best: dict) -> float:
    """Zero, if the objective gives the best value once more; the whole dictionary is that of the function."""
    assert best == inputs(study, study.best_trial.number) == study.best_inputs
    return value - again


def both(reuse_pods: bool) -> float:
    study = Optimizer(score, 2, 4, reuse_pods=reuse_pods)(**GIVEN, offset=2)
    return difference(value=study.best_value, again=refitted(study, 2), study=study, best=study.best_inputs)


@fl.workflow
def batches() -> float:
    return both(reuse_pods=False)


@fl.workflow
def reused() -> float:
    return both(reuse_pods=True)


@optimize(concurrency=2, n_trials=3)
def by_callback(trial: optuna.Trial, offset: int):
    kind = Kind[trial.suggest_categorical("kind", ["TREE", "LINEAR"])]
    config = Config(Inner(trial.suggest_float("rate", 0, 1), kind), sizes=[1.0, 2.0])
    params = {"a.b": trial.suggest_int("a", 1, 4), "c": {"deep": 3, "kept": [1, {"x": None}]}}
    weights = {"first": 0.5, "second": 1.0}
    return score(config=config, params=params, weights=weights, kind=kind, x=2, text=None, offset=offset)


def of_callback(reuse_pods: bool) -> float:
    by_callback.reuse_pods = reuse_pods
    study = by_callback(offset=2)
    return difference(value=study.best_value, again=refitted(study, 2), study=study, best=study.best_inputs)


@fl.workflow
def of_a_callback() -> float:
    return of_callback(reuse_pods=False)


@fl.workflow
def of_a_callback_reused() -> float:
    return of_callback(reuse_pods=True)


@fl.task
def of_a_file(data: FlyteFile, x: float) -> float:
    return x


@optimize(n_trials=2)
def with_a_file(trial: optuna.Trial, data: FlyteFile):
    return of_a_file(data=data, x=trial.suggest_float("x", 0, 1))


@fl.workflow
def used_file(data: FlyteFile) -> FlyteFile:
    return with_a_file(data=data).best_inputs["data"]


@fl.workflow
def used_beside_a_file(data: FlyteFile) -> float:
    return with_a_file(data=data).best_inputs["x"]
