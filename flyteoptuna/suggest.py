"""What a user writes in place of an input: ``suggest.float``, ``suggest.integer``, ``suggest.category``."""

from __future__ import annotations

import builtins
from collections.abc import Sequence

from flyteoptuna.core.suggestions import Category, Choice, Float, Integer, SpaceError

__all__ = ["category", "float", "integer"]


def float(low: builtins.float, high: builtins.float, step: builtins.float | None = None, log: bool = False) -> Float:
    """Suggest a float between ``low`` and ``high``, both included.

    Args:
        low: the least value; above 0 where ``log`` is set.
        high: the greatest value, at least ``low``.
        step: the distance between values, above 0; None (the default) for a continuous range.
        log: draw from the logarithmic domain. Cannot be combined with ``step``.

    Raises:
        SpaceError: a bound is not a finite number, or a rule above is broken.
    """
    return Float(low, high, step, log)


def integer(low: int, high: int, step: int = 1, log: bool = False) -> Integer:
    """Suggest an int between ``low`` and ``high``, both included.

    Args:
        low: the least value; at least 1 where ``log`` is set.
        high: the greatest value, at least ``low``.
        step: the distance between values, above 0; 1 by default.
        log: draw from the logarithmic domain. Cannot be combined with a ``step`` other than 1.

    Raises:
        SpaceError: a bound is not an int, or a rule above is broken.
    """
    return Integer(low, high, step, log)


def category(choices: Sequence[Choice]) -> Category:
    """Suggest one of ``choices``: None, bools, ints, floats or strings, at least one.

    Raises:
        SpaceError: there is no choice, or one is of another type.
    """
    if isinstance(choices, str) or not isinstance(choices, Sequence):
        raise SpaceError(f"`choices` of suggest.category must be a list or a tuple, but got {choices!r}.")
    return Category(tuple(choices))
