"""Problems of search quality, by group: functions of an ``optuna.Trial`` that return an observed and a true value."""

from __future__ import annotations

import functools
import json
import math
import os
import tempfile
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from benchmarks.common import ROOT
from benchmarks.functions import FUNCTIONS, branin, hartmann6, mixed

# Of the 24 noiseless functions of BBOB (Hansen et al., https://coco-platform.org), the first of each group.
BBOB_GROUPS = {
    1: "separable",
    6: "low conditioning",
    10: "high conditioning",
    15: "multimodal, adequate structure",
    20: "multimodal, weak structure",
}
DIMENSIONS = (5, 10)


class Problem(NamedTuple):
    """A problem.

    Attributes:
        group: group of problems that are reported together.
        make: makes the function of a seed. It returns the observed and the true value, less is better.
    """

    group: str
    make: Callable[[int], Callable[[Any], tuple[float, float]]]


def _bbob(function: int, dimension: int) -> Callable[[int], Callable[[Any], tuple[float, float]]]:
    """Instance ``seed + 1`` of a function; its value is the distance to its optimum."""

    def make(seed: int) -> Callable[[Any], tuple[float, float]]:
        problem, optimum = _instance(function, dimension, seed + 1)

        def evaluate(trial: Any) -> tuple[float, float]:
            x = [trial.suggest_float(f"x{i}", -5, 5) for i in range(dimension)]
            value = float(problem(np.array(x)))
            return value, value - optimum

        return evaluate

    return make


@functools.cache
def _suite() -> Any:
    import cocoex

    return cocoex.Suite("bbob", "instances: 1-100", f"dimensions: {','.join(map(str, DIMENSIONS))}")


def _instance(function: int, dimension: int, instance: int) -> tuple[Any, float]:
    problem = _suite().get_problem_by_function_dimension_instance(function, dimension, instance)
    with tempfile.TemporaryDirectory() as folder:
        # The suite writes where the optimum is into the working directory.
        before = os.getcwd()
        os.chdir(folder)
        try:
            problem._best_parameter("print")
            best = np.loadtxt("._bbob_problem_best_parameter.txt")
        finally:
            os.chdir(before)
    return problem, float(problem(best))


def _exact(function: Callable[[Any], float]) -> Callable[[int], Callable[[Any], tuple[float, float]]]:
    return lambda seed: lambda trial: (function(trial),) * 2


def _noisy(
    function: Callable[[Any], float], deviation: float, share: float = 0.0
) -> Callable[[int], Callable[[Any], tuple[float, float]]]:
    """Normal noise of a deviation, which grows by ``share`` of the value's size."""

    def make(seed: int) -> Callable[[Any], tuple[float, float]]:
        def evaluate(trial: Any) -> tuple[float, float]:
            true = function(trial)
            noise = np.random.default_rng([seed, trial.number]).standard_normal()
            return true + (deviation + share * abs(true)) * noise, true

        return evaluate

    return make


def conditional(trial: Any) -> float:
    """Three models with parameters of their own, as in the selection of a model; least value 0.3."""
    kind, decay = trial.suggest_categorical("kind", ["a", "b", "c"]), trial.suggest_float("decay", 1e-5, 1.0, log=True)
    base = 0.15 * (math.log10(decay) + 3) ** 2
    if kind == "a":
        return 1.0 + base + (trial.suggest_float("a_x", -5, 5) - 1) ** 2 / 5
    if kind == "b":
        depth, rate = trial.suggest_int("b_depth", 1, 12), trial.suggest_float("b_rate", 1e-3, 1.0, log=True)
        slope = math.log10(rate) + 1.5
        return 0.3 + base + abs(depth - 7) / 6 + 0.5 * slope**2 + 0.1 * (depth - 7) * slope / 3
    size = trial.suggest_int("c_size", 1, 50, log=True)
    return (
        0.6
        + base
        + 0.3 * abs(size - 5) ** 0.5
        + (0.4 if trial.suggest_categorical("c_how", ["u", "d"]) == "u" else 0.0)
    )


def tuning(model: str) -> Callable[[Any], float]:
    """The error of a model at the nearest settings of its table, which ``tuning_tables.py`` made."""
    table = json.loads((ROOT / "tuning.json").read_text())[model]
    grid: dict[str, list[Any]] = table["grid"]
    errors = np.array(table["errors"]).reshape([len(values) for values in grid.values()])

    def evaluate(trial: Any) -> float:
        cell = []
        for name, values in grid.items():
            if isinstance(values[0], str):
                cell.append(values.index(trial.suggest_categorical(name, values)))
            elif isinstance(values[0], int):
                cell.append(int(np.argmin(np.abs(np.array(values) - trial.suggest_int(name, values[0], values[-1])))))
            else:
                value = trial.suggest_float(name, values[0], values[-1], log=True)
                cell.append(int(np.argmin(np.abs(np.log(values) - math.log(value)))))
        return float(errors[tuple(cell)])

    return evaluate


@functools.cache
def all_problems() -> dict[str, Problem]:
    """All problems by name."""
    found = {}
    for function in range(1, 25):
        group = BBOB_GROUPS[max(first for first in BBOB_GROUPS if first <= function)]
        for dimension in DIMENSIONS:
            found[f"BBOB {function}, {dimension} parameters"] = Problem(group, _bbob(function, dimension))
    for name, function in FUNCTIONS.items():
        found[name] = Problem("mixed" if function is mixed else "classic", _exact(function))
    found["conditional"] = Problem("conditional", _exact(conditional))
    found["noisy Branin"] = Problem("noise", _noisy(branin, 2.0))
    found["noisy Hartmann6"] = Problem("noise", _noisy(hartmann6, 0.3))
    found["noisy mixed"] = Problem("noise", _noisy(mixed, 0.1, 0.1))
    for model in ("SVM", "tree", "MLP"):
        found[f"tuning, {model}"] = Problem("tuning", _exact(tuning(model)))
    return found
