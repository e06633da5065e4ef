"""Searches with what a study's short form, an enum and a dataclass make of them."""

from dataclasses import dataclass
from enum import Enum
from typing import Optional

import flytekit as fl
import optuna

from flyteoptuna import Optimizer, optimize, suggest


class Color(Enum):
    RED = "r"
    BLUE = "b"


@dataclass
class Inner:
    rate: float
    color: Color = Color.RED


@dataclass
class Config:
    depth: int
    inner: Inner
    name: str = "default"


@fl.task
def typed(
    config: Config,
    color: Color,
    maybe: Optional[Color] = None,  # noqa: UP045
    colors: dict[str, Color] = {},  # noqa: B006
) -> float:
    assert (type(config), type(config.inner), type(config.depth)) == (Config, Inner, int)
    assert config.name == "default"
    assert {type(c) for c in (color, config.inner.color, *colors.values())} == {Color}
    assert maybe is None or type(maybe) is Color
    return config.depth + config.inner.rate


@fl.workflow
def of_types() -> optuna.Study:
    optimizer = Optimizer(typed, 2, 4, direction="maximize", sampler=optuna.samplers.RandomSampler(seed=3))
    return optimizer(
        config={
            "depth": suggest.integer(2, 8),
            "inner": {"rate": suggest.float(0, 1), "color": suggest.category(list(Color))},
        },
        color=suggest.category(["RED", "BLUE"]),
        maybe=suggest.category([None, *Color]),
        colors={"first": suggest.category([Color.BLUE]), "second": Color.RED},
    )


@fl.task
def two(x: float) -> tuple[float, float]:
    return x, -x


@optimize(directions=["minimize", "maximize"], pruner=optuna.pruners.MedianPruner())
def called(trial: optuna.Trial):
    return two(trial.suggest_float("x", 0, 1))


@fl.workflow
def of_two() -> optuna.Study:
    called.n_trials = 2
    return called()


@fl.task
def line(x: float) -> float:
    return x


@fl.workflow
def until() -> optuna.Study:
    return Optimizer(line, 1, timeout=3.0, batch_size=2)(x=suggest.float(0, 1))
