"""Checks of the fields of a study's JSON, each of which names the place that is wrong."""

from __future__ import annotations

import math
from typing import Any, NoReturn

from flyteoptuna.storage.rows import NUMBER


class Misfit(Exception):
    """A field that is not as it must be; its place is told from where it was checked."""

    def __init__(self, where: str, expected: str, found: Any) -> None:
        super().__init__(where, expected, found)
        self.where, self.expected, self.found = where, expected, found


def refuse(where: str, expected: str, found: Any) -> NoReturn:
    """Raise :class:`Misfit`."""
    raise Misfit(where, expected, found)


def below(where: str, value: Any, end: int) -> int:
    """The value, if it is an integer from 0 to ``end``, exclusive."""
    if type(value) is not int or not 0 <= value < end:
        refuse(where, f"an integer from 0 to {end - 1}", value)
    return value


def numbers(where: str, found: Any, *, nan: bool = True) -> list[float]:
    """The value, if it is a list of numbers; without NaN unless that is allowed."""
    if type(found) is not list or not set(map(type, found)) <= NUMBER:
        refuse(where, "a list of numbers", found)
    try:
        has_nan = any(map(math.isnan, found))
    except OverflowError:
        refuse(where, "a list of numbers within the range of floats", found)
    if has_nan and not nan:
        refuse(where, "a list without NaN", found)
    return found
