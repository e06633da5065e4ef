"""Check the types and ranges of arguments of public functions."""

from __future__ import annotations

from typing import Any

from flyteoptuna.values.did_you_mean import value_and_type
from flyteoptuna.values.text import safe_repr


def check_type(name: str, value: object, types: Any, description: str) -> None:
    """Check the type of an argument.

    Args:
        name: the argument's name.
        value: its value.
        types: its type, or a tuple of types.
        description: the types in words, with an article.

    Raises:
        TypeError: the argument has another type.
    """
    # A bool is an int in Python, but not a valid number here.
    if not isinstance(value, types) or isinstance(value, bool):
        raise TypeError(f"`{name}` must be {description}, but got {value_and_type(value)}.")


def check_number(name: str, value: Any, types: Any, minimum: float) -> None:
    """Check the type and the minimum of a number.

    Raises:
        TypeError: the number has another type.
        ValueError: the number is less than ``minimum``.
    """
    check_type(name, value, types, "an int" if types is int else "a number")
    if not value >= minimum:
        raise ValueError(f"`{name} >= {minimum}` must hold, but got {name}={safe_repr(value)}.")
