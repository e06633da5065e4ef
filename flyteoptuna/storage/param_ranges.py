"""Check the parameters of a trial against the ranges of their space."""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Iterable, Sequence

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

# Relative tolerance of bounds and steps, because samplers round.
_RELATIVE_TOLERANCE = 1e-9


class ParamRanges:
    """Bounds and steps of a space's parameters, by position.

    Parameters have the form of a study's file: numbers, and for categorical ones the index of the choice.
    """

    def __init__(self, distributions: Iterable[BaseDistribution]) -> None:
        self._lows: list[float] = []
        self._highs: list[float] = []
        self._steps: list[tuple[int, float, float]] = []
        for position, distribution in enumerate(distributions):
            low, high = -math.inf, math.inf
            if isinstance(distribution, CategoricalDistribution):
                low, high = 0, len(distribution.choices) - 1
            elif isinstance(distribution, (FloatDistribution, IntDistribution)):
                low, high = _widen(distribution.low, -1), _widen(distribution.high, 1)
                if distribution.step is not None:
                    self._steps.append((position, distribution.low, distribution.step))
            self._lows.append(low)
            self._highs.append(high)

    def outside(self, params: Sequence[float]) -> list[int]:
        """Positions of the parameters outside their ranges."""
        try:
            if all(map(operator.le, self._lows, params)) and all(map(operator.ge, self._highs, params)):
                for position, low, step in self._steps:
                    value = params[position]
                    # Every integer is on a step of 1.
                    if not (step == 1 and type(step) is type(value) is int) and not _on_step(value, low, step):
                        break
                else:
                    return []
        except (OverflowError, ValueError):
            pass
        return [position for position, value in enumerate(params) if not self._holds(position, value)]

    def _holds(self, position: int, value: float) -> bool:
        if not self._lows[position] <= value <= self._highs[position]:
            return False
        try:
            return all(_on_step(value, low, step) for at, low, step in self._steps if at == position)
        except (OverflowError, ValueError):
            return False


def _widen(bound: float, sign: int) -> float:
    if type(bound) is int:
        # Samplers sample integers as floats, which are exact up to 2**53.
        return bound if abs(bound) < 2**53 else bound + sign * (int(abs(bound)) // 10**9)
    if math.isinf(bound):
        return bound
    return max(-sys.float_info.max, min(bound + sign * abs(bound) * _RELATIVE_TOLERANCE, sys.float_info.max))


def _on_step(value: float, low: float, step: float) -> bool:
    if type(value) is type(low) is type(step) is int:
        return (value - low) % step == 0 or abs(value) >= 2**53 or abs(low) >= 2**53
    steps = (value - low) / step
    return abs(steps - round(steps)) <= max(1e-8, abs(steps) * _RELATIVE_TOLERANCE)
