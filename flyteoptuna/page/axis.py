"""Chart axes: ranges without extreme outliers, and ticks."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

_MAX_VALUE = sys.float_info.max

# Minimum distance between the values and the end of an axis.
_MIN_PADDING = 1e-290


@dataclass(frozen=True)
class Axis:
    """A range of values and its ticks, each a value and a label. Values outside are drawn at the edge."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    log: bool = False

    def position(self, value: float) -> float:
        """Position of a value between 0 (low) and 1 (high)."""
        if value <= self.low or value >= self.high:
            return float(value > self.low)
        if self.log:
            return (math.log(value) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))
        return (value / 2 - self.low / 2) / (self.high / 2 - self.low / 2)

    def contains(self, value: float) -> bool:
        """Test whether a value lies within the range."""
        return self.low <= value <= self.high


def downsample(items: Sequence[T], limit: int) -> Sequence[T]:
    """At most ``limit`` of the items, evenly spread, including the first and the last."""
    if len(items) <= limit:
        return items
    return [items[i * (len(items) - 1) // (limit - 1)] for i in range(limit)]


def format_number(value: float) -> str:
    """Format a number with six significant digits: ``0.123457``, ``12``, ``1.5e-7``, ``-inf``."""
    mantissa, e, exponent = f"{value:.6g}".partition("e")
    return f"{mantissa}e{int(exponent)}" if e else mantissa


def linear_axis(
    values: Sequence[float], *, worse: int = 0, include: Sequence[float] = (), whole: bool = False, ticks: int = 6
) -> Axis:
    """The linear axis of some values.

    Args:
        values: the values. Infinite ones are ignored.
        worse: 1 if high values are worse, -1 if low ones are, else 0. The range excludes outliers on the worse side,
            because they would flatten the rest.
        include: values that are in the range even if they are outliers.
        whole: whether the values are whole numbers.
        ticks: maximum number of intervals between ticks.
    """
    finite = sorted(v for v in values if math.isfinite(v)) or [0.0, 1.0]
    low, high = _without_outliers(finite, worse)
    included = [v for v in include if math.isfinite(v)]
    low, high = min([low, *included]), max([high, *included])
    pad = 0.05 * high - 0.05 * low
    if pad <= max(1e-13 * max(abs(low), abs(high)), _MIN_PADDING):
        pad = max(0.1 * abs(high), _MIN_PADDING) if high else 1.0
    if whole:
        pad = max(pad, 0.5)
    low, high = max(low - pad, -_MAX_VALUE), min(high + pad, _MAX_VALUE)
    return Axis(low, high, _ticks(low, high, ticks, whole))


def log_axis(values: Sequence[float]) -> Axis:
    """The logarithmic axis of some positive values; a linear one if they span less than two orders of magnitude."""
    low, high = min(values), max(values)
    if low <= 0 or math.log10(high) - math.log10(low) < 2:
        return linear_axis(values, ticks=4)
    orders = range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)
    powers = [10.0**order for order in orders[:: len(orders) // 5 + 1]]
    return Axis(low / 1.2, min(high * 1.2, _MAX_VALUE), tuple((v, format_number(v)) for v in powers), log=True)


def category_axis(labels: Sequence[str]) -> Axis:
    """The axis of some categories, at 0, 1, 2 and so on; at most eight have a label."""
    return Axis(-0.5, len(labels) - 0.5, tuple((i, labels[i]) for i in downsample(range(len(labels)), 8)))


def _without_outliers(ordered: Sequence[float], worse: int) -> tuple[float, float]:
    low, high = ordered[0], ordered[-1]
    if not worse or len(ordered) < 10:
        return low, high
    best, worst = (low, high) if worse > 0 else (high, low)
    usual = ordered[len(ordered) * 9 // 10] if worse > 0 else ordered[len(ordered) // 10]
    if usual == best or abs(worst - best) <= 4 * abs(usual - best):
        return low, high
    limit = best + 1.5 * (usual - best)
    return (low, limit) if worse > 0 else (limit, high)


def _ticks(low: float, high: float, limit: int, whole: bool) -> tuple[tuple[float, str], ...]:
    power = 10.0 ** math.floor(math.log10(high / (limit + 1) - low / (limit + 1)))
    for base in (1, 2, 5, 10, 20):
        # The first that fits, because a coarser one may have a single tick, which shows no scale.
        step = max(base * power, 1.0 if whole else 0.0)
        first, last = math.ceil(low / step), math.floor(high / step)
        if last - first <= limit:
            break
    values = [i * step for i in range(first, last + 1)]
    values = [v for v in values if not whole or v >= 0]
    return tuple((v, _label(v, step, max(map(abs, values)))) for v in values)


def _label(value: float, step: float, top: float) -> str:
    if value == 0:
        return "0"
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    if 1e-3 <= top < 1e7 and decimals <= 6:
        return f"{value:,.{decimals}f}"
    digits = max(0, math.floor(math.log10(top)) - math.floor(math.log10(step) + 1e-9))
    mantissa, _, exponent = f"{value:.{digits}e}".partition("e")
    return f"{mantissa}e{int(exponent)}"
