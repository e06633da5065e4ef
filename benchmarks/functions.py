"""Functions to minimise, each of an ``optuna.Trial``."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

_ALPHA = (1.0, 1.2, 3.0, 3.2)
_A = (
    (10, 3, 17, 3.5, 1.7, 8),
    (0.05, 10, 17, 0.1, 8, 14),
    (3, 3.5, 1.7, 10, 17, 8),
    (17, 8, 0.05, 10, 0.1, 14),
)
_P = (
    (0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886),
    (0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991),
    (0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650),
    (0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381),
)


def branin(trial: Any) -> float:
    """Two floats; least value 0.398."""
    x, y = trial.suggest_float("x", -5, 10), trial.suggest_float("y", 0, 15)
    valley = (y - 5.1 / (4 * math.pi**2) * x * x + 5 / math.pi * x - 6) ** 2
    return valley + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10


def hartmann6(trial: Any) -> float:
    """Six floats; least value -3.322."""
    x = [trial.suggest_float(f"x{i}", 0, 1) for i in range(6)]
    inner = (sum(a * (v - p) ** 2 for a, v, p in zip(_A[k], x, _P[k], strict=True)) for k in range(4))
    return -sum(alpha * math.exp(-distance) for alpha, distance in zip(_ALPHA, inner, strict=True))


def rastrigin10(trial: Any) -> float:
    """Ten floats and very many local minima; least value 0, away from the middle of the space."""
    x = [trial.suggest_float(f"x{i}", -5.12, 5.12) - 0.3 * (i - 4.5) for i in range(10)]
    return 100 + sum(v * v - 10 * math.cos(2 * math.pi * v) for v in x)


def mixed(trial: Any) -> float:
    """Two categories, three integers, a stepped and a logarithmic float, as of a model's settings; least value 0."""
    kind = trial.suggest_categorical("kind", ["adam", "sgd", "rmsprop", "lion"])
    norm = trial.suggest_categorical("norm", [True, False])
    depth, width = trial.suggest_int("depth", 1, 12), trial.suggest_int("width", 16, 512, step=16)
    heads = trial.suggest_int("heads", 1, 16)
    dropout, rate = trial.suggest_float("dropout", 0, 0.6, step=0.05), trial.suggest_float("rate", 1e-5, 1, log=True)
    # Each kind has a rate of its own that suits it, and depth needs the norm.
    best_rate = {"adam": -3.0, "sgd": -1.0, "rmsprop": -3.5, "lion": -4.0}[kind]
    value = {"adam": 0.1, "sgd": 0.5, "rmsprop": 0.4, "lion": 0.0}[kind] + (math.log10(rate) - best_rate) ** 2
    value += 0.05 * abs(depth - (8 if norm else 3)) + (0.0 if norm else 0.3)
    return value + abs(width - 256) / 128 + 0.1 * abs(heads - 8) + 4 * abs(dropout - 0.2)


FUNCTIONS: dict[str, Callable[[Any], float]] = {
    "Branin": branin,
    "Hartmann6": hartmann6,
    "Rastrigin, 10 parameters": rastrigin10,
    "mixed, 7 parameters": mixed,
}
