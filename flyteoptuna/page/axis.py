"""Chart axes, linear or logarithmic: ranges without extreme outliers, and ticks."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

_MAX_VALUE = sys.float_info.max

# Minimum number of orders of magnitude on a logarithmic axis.
MIN_ORDERS = 2
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


def linear_axis(values: Sequence[float], *, worse: int = 0, whole: bool = False, ticks: int = 6) -> Axis:
    """The linear axis of some values.

    Args:
        values: the values. Infinite ones are ignored.
        worse: 1 if high values are worse, -1 if low ones are, else 0. The range excludes outliers on the worse side,
            because they would flatten the rest.
        whole: whether the values are whole numbers.
        ticks: maximum number of intervals between ticks.
    """
    finite = sorted(v for v in values if math.isfinite(v)) or [0.0, 1.0]
    low, high = _without_outliers(finite, worse)
    pad = 0.05 * high - 0.05 * low
    if pad <= max(1e-13 * max(abs(low), abs(high)), _MIN_PADDING):
        pad = max(0.1 * abs(high), _MIN_PADDING) if high else 1.0
    if whole:
        pad = max(pad, 0.5)
    low, high = max(low - pad, -_MAX_VALUE), min(high + pad, _MAX_VALUE)
    return Axis(low, high, _ticks(low, high, ticks, whole))


def value_axis(values: Sequence[float], *, worse: int = 0, ticks: int = 6) -> Axis:
    """The axis of objective values: logarithmic if most of them span orders of magnitude, else linear.

    The arguments are those of ``linear_axis``.
    """
    finite = sorted(v for v in values if math.isfinite(v))
    if finite and finite[0] > 0:
        low, high = _without_outliers([math.log10(v) for v in finite], worse, _is_gap_of_orders)
        orders = [order for v in finite if low <= (order := math.log10(v)) <= high]
        tenth = len(orders) // 10
        if orders[-1 - tenth] - orders[tenth] >= MIN_ORDERS:
            return _log_range(low, high)
    return linear_axis(values, worse=worse, ticks=ticks)


def log_axis(values: Sequence[float]) -> Axis:
    """The logarithmic axis of some positive values; a linear one if they span few orders of magnitude."""
    low, high = min(values), max(values)
    if low <= 0 or math.log10(high) - math.log10(low) < MIN_ORDERS:
        return linear_axis(values, ticks=4)
    return _log_range(math.log10(low), math.log10(high))


def _log_range(low: float, high: float) -> Axis:
    """The logarithmic axis between two powers of ten, given by their exponents."""
    orders = range(math.ceil(low), math.floor(high) + 1)
    powers = [10.0**order for order in orders[:: len(orders) // 5 + 1]]
    pad = 0.04 * (high - low)
    # Below this, a power of ten is zero.
    ends = 10.0 ** max(low - pad, -323.0), 10.0 ** (high + pad) if high + pad < 308 else _MAX_VALUE
    return Axis(*ends, tuple((v, format_number(v)) for v in powers), log=True)


def category_axis(labels: Sequence[str]) -> Axis:
    """The axis of some categories, at 0, 1, 2 and so on; at most eight have a label."""
    return Axis(-0.5, len(labels) - 0.5, tuple((i, labels[i]) for i in downsample(range(len(labels)), 8)))


def _is_gap(loss: float, following: float) -> bool:
    """Test whether a loss is an outlier beside those up to another one."""
    return loss > 0 and following > 8 * loss


def _is_gap_of_orders(loss: float, following: float) -> bool:
    """The same for logarithms: wider than all other losses together, and than any usual gap."""
    return following - loss > max(loss, MIN_ORDERS)


def _without_outliers(
    ordered: Sequence[float], worse: int, is_gap: Callable[[float, float], bool] = _is_gap
) -> tuple[float, float]:
    """The range of ordered values without those that are far worse than most."""
    if not worse or len(ordered) < 5:
        return ordered[0], ordered[-1]
    best, *rest = ordered if worse > 0 else ordered[::-1]
    # Halves, because a difference may be larger than the largest number.
    losses = [0.0, *(abs(value / 2 - best / 2) for value in rest)]
    for i in range(len(losses) // 2, len(losses) - 1):
        # Penalties of invalid points, for example, may be many.
        if is_gap(2 * losses[i], 2 * losses[i + 1]):
            losses = losses[: i + 1]
            break
    limit, usual = losses[-1], losses[len(losses) * 9 // 10]
    if len(losses) >= 10 and usual and limit > 4 * usual:
        limit = 1.5 * usual
    end = best + worse * limit + worse * limit
    return (best, end) if worse > 0 else (end, best)


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
