"""Parameters as numbers from 0 to 1, and as the coordinates that a kernel compares."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

Array: TypeAlias = NDArray[np.float64]

# Limits of a number whose value is outside of a range that the study has narrowed since.
_OUTSIDE = (-1.0, 2.0)
# Stands for the value of a parameter that a trial does not have.
ABSENT = object()


class Column:
    """One parameter.

    The unit interval has a part of equal width for each choice, or for each value of a grid; its middle is the number
    of the value.
    """

    def __init__(self, distribution: BaseDistribution) -> None:
        numeric: Any = distribution
        self._distribution = numeric
        self._log = bool(getattr(distribution, "log", False))
        self.choices = len(distribution.choices) if isinstance(distribution, CategoricalDistribution) else 0
        self._cells, self._low, self._high = self.choices, 0.0, 1.0
        if not self.choices:
            low, high, step = numeric.low, numeric.high, numeric.step or 0
            if step and not self._log:
                self._cells = round((high - low) / step) + 1
            # Half a step on either side, so that the first and the last value are as likely as the others.
            ends = low - step / 2, high + step / 2
            self._low, self._high = (math.log(end) if self._log else float(end) for end in ends)
        self.discrete = bool(self._cells) or isinstance(distribution, IntDistribution)

    def encode(self, values: Sequence[Any]) -> Array:
        """Numbers of values; NaN for ``ABSENT`` and for values of another kind."""
        if self.choices:
            cells = [self._cell(value) for value in values]
            return (np.array(cells) + 0.5) / self.choices
        numbers = np.array([math.nan if value is ABSENT else value for value in values], dtype=float)
        if self._low == self._high:
            return np.where(np.isnan(numbers), math.nan, 0.5)
        if self._log:
            numbers = np.log(np.where(numbers > 0, numbers, math.nan))
        # Halved, because the width of the widest range is infinite.
        shares = (numbers / 2 - self._low / 2) / (self._high / 2 - self._low / 2)
        return np.clip(shares, *_OUTSIDE)

    def _cell(self, value: Any) -> float:
        try:
            return math.nan if value is ABSENT else float(self._distribution.to_internal_repr(value))
        except ValueError:
            return math.nan

    def snap(self, numbers: Array) -> Array:
        """Numbers of the nearest values that the parameter can have."""
        if self._cells:
            return (np.clip(np.floor(numbers * self._cells), 0, self._cells - 1) + 0.5) / self._cells
        if self.discrete:
            return self.encode([self.decode(number) for number in numbers])
        return np.clip(numbers, 0, 1)

    def decode(self, number: float) -> Any:
        """Value of a number from 0 to 1."""
        of = self._distribution
        if self._cells:
            cell = min(int(number * self._cells), self._cells - 1)
            return of.choices[cell] if self.choices else min(of.low + cell * of.step, of.high)
        value = self._low * (1 - float(number)) + self._high * float(number)
        value = math.exp(value) if self._log else value
        return min(max(round(value) if self.discrete else value, of.low), of.high)

    def coordinates(self, numbers: Array, *, conditional: bool) -> list[Array]:
        """Coordinates of numbers; NaN is a parameter that a trial does not have.

        Two choices are as far apart as the ends of a range. A missing number is in the middle, and told apart by a
        coordinate of its own if the parameter is ``conditional``.
        """
        missing = np.isnan(numbers)
        found = [np.where(missing, 0.5, numbers)]
        if self.choices:
            cells = np.where(missing, -1, np.floor(found[0] * self.choices))
            found = [(cells == choice) * math.sqrt(0.5) for choice in range(self.choices)]
        return [*found, missing * 1.0] if conditional else found


def encode_points(columns: Mapping[str, Column], trials: Sequence[Mapping[str, Any]]) -> Array:
    """Numbers of the parameters of trials, NaN for those that a trial does not have."""
    return np.column_stack([c.encode([params.get(name, ABSENT) for params in trials]) for name, c in columns.items()])


def coordinates_of(
    columns: Sequence[Column], points: Array, conditional: NDArray[np.bool_]
) -> tuple[Array, NDArray[Any]]:
    """Coordinates of points, and the index of the parameter that each coordinate belongs to."""
    parts = [c.coordinates(points[:, j], conditional=bool(conditional[j])) for j, c in enumerate(columns)]
    owners = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    return np.column_stack([each for part in parts for each in part]), owners
