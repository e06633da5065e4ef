"""The axes of charts: ranges without the outliers that would flatten the rest, and their ticks."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

_MAX = sys.float_info.max

_TINY = 1e-290


@dataclass(frozen=True)
class Axis:
    """A range of values and its ticks; what lies outside, infinity too, is drawn at the edge."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    log: bool = False

    def at(self, value: float) -> float:
        """Where a value stands, between 0 (low) and 1 (high)."""
        if value <= self.low or value >= self.high:
            return float(value > self.low)
        if self.log:
            return (math.log(value) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))
        return (value / 2 - self.low / 2) / (self.high / 2 - self.low / 2)

    def shows(self, value: float) -> bool:
        """Whether a value lies inside."""
        return self.low <= value <= self.high


def thin(items: Sequence[T], most: int) -> Sequence[T]:
    """At most ``most`` of the items, evenly spread, the first and the last among them."""
    if len(items) <= most:
        return items
    return [items[i * (len(items) - 1) // (most - 1)] for i in range(most)]


def number(value: float) -> str:
    """A number at six significant digits: ``0.123457``, ``12``, ``1.5e-7``, ``-inf``."""
    mantissa, e, exponent = f"{value:.6g}".partition("e")
    return f"{mantissa}e{int(exponent)}" if e else mantissa


def axis(
    values: Sequence[float], *, worse: int = 0, keep: Sequence[float] = (), whole: bool = False, ticks: int = 6
) -> Axis:
    """The axis that shows some values.

    Args:
        values: the values, of which infinite ones are left out.
        worse: 1 where high values are the bad ones, -1 where low ones are, else 0; bad outliers are left out, so that
            they do not flatten the rest.
        keep: values that are to be shown even so.
        whole: whether the values are whole numbers.
        ticks: most intervals between ticks.
    """
    finite = sorted(v for v in values if math.isfinite(v)) or [0.0, 1.0]
    low, high = _without_outliers(finite, worse)
    inside = [v for v in keep if math.isfinite(v)]
    low, high = min([low, *inside]), max([high, *inside])
    pad = 0.05 * high - 0.05 * low
    if pad <= max(1e-13 * max(abs(low), abs(high)), _TINY):
        pad = max(0.1 * abs(high), _TINY) if high else 1.0
    if whole:
        pad = max(pad, 0.5)
    low, high = max(low - pad, -_MAX), min(high + pad, _MAX)
    return Axis(low, high, _ticks(low, high, ticks, whole))


def log_axis(values: Sequence[float]) -> Axis:
    """The axis, by orders of magnitude, that shows some positive values; an even one where they span less than two."""
    low, high = min(values), max(values)
    if low <= 0 or math.log10(high) - math.log10(low) < 2:
        return axis(values, ticks=4)
    orders = range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)
    powers = [10.0**order for order in orders[:: len(orders) // 5 + 1]]
    return Axis(low / 1.2, min(high * 1.2, _MAX), tuple((v, number(v)) for v in powers), log=True)


def category_axis(labels: Sequence[str]) -> Axis:
    """The axis of some categories, which stand at 0, 1, 2, and so on; of many, some are labelled."""
    return Axis(-0.5, len(labels) - 0.5, tuple((i, labels[i]) for i in thin(range(len(labels)), 8)))


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


def _ticks(low: float, high: float, most: int, whole: bool) -> tuple[tuple[float, str], ...]:
    power = 10.0 ** math.floor(math.log10(high / (most + 1) - low / (most + 1)))
    for base in (1, 2, 5, 10, 20):
        # The first that fits: a coarser one may leave a single tick, which tells no scale.
        step = max(base * power, 1.0 if whole else 0.0)
        first, last = math.ceil(low / step), math.floor(high / step)
        if last - first <= most:
            break
    values = [i * step for i in range(first, last + 1)]
    values = [v for v in values if not whole or v >= 0]
    return tuple((v, _label(v, step, max(map(abs, values)))) for v in values)


def _label(value: float, step: float, top: float) -> str:
    if value == 0:
        return "0"
    places = max(0, -math.floor(math.log10(step) + 1e-9))
    if 1e-3 <= top < 1e7 and places <= 6:
        return f"{value:,.{places}f}"
    digits = max(0, math.floor(math.log10(top)) - math.floor(math.log10(step) + 1e-9))
    mantissa, _, exponent = f"{value:.{digits}e}".partition("e")
    return f"{mantissa}e{int(exponent)}"
