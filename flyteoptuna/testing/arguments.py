"""Arguments of the public functions that are of a wrong type, refused before anything runs."""

from __future__ import annotations

from typing import Any

from flyteoptuna.core.plain_values import named, shown


def check_type(name: str, value: object, kinds: Any, what: str) -> None:
    """Refuse an argument that is of none of the kinds.

    Raises:
        TypeError: it is of another type; says its name, what it must be, and the value.
    """
    # A bool is an int, but no count.
    if not isinstance(value, kinds) or isinstance(value, bool):
        raise TypeError(f"`{name}` must be {what}, but got {shown(value)} ({named(value)}).")


def check_number(name: str, value: Any, kinds: Any, least: float) -> None:
    """Refuse a number of another type, or that is too small.

    Raises:
        TypeError: it is of none of the kinds.
        ValueError: it is less than ``least``.
    """
    check_type(name, value, kinds, "an int" if kinds is int else "a number")
    if not value >= least:
        raise ValueError(f"`{name} >= {least}` must hold, but got {name}={value!r}.")
