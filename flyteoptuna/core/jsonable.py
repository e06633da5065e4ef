"""Values that objectives and callbacks keep, as JSON: checked when they are kept, and bounded in time and depth."""

from __future__ import annotations

import json
import sys
from typing import Any

LARGEST = 1_500_000
"""Most characters of a value's JSON that are looked at; no report has room for more."""

DEEPEST = 100
"""Most lists and dictionaries inside each other. Reading and writing JSON recurses, beneath stacks of any depth."""


class TooLargeError(ValueError):
    """A value whose JSON is longer than ``LARGEST``."""


def plain(value: Any) -> Any:
    """A numpy scalar as the plain number, bool or text that it is; any other value as it is."""
    # Only what has imported numpy can have made one.
    numpy = sys.modules.get("numpy")
    return value.item() if numpy is not None and isinstance(value, numpy.generic) else value


class _Copy:
    """A copy of a value that JSON can hold, made of Python's own types; counts what its JSON would take."""

    def __init__(self) -> None:
        self.size = 0

    def of(self, value: Any, depth: int) -> Any:
        """The copy of a value at a depth."""
        if depth > DEEPEST:
            raise TypeError(f"it is nested deeper than {DEEPEST}, or holds itself")
        value = plain(value)
        self.size += (len(value) if isinstance(value, str) else 1) + 2
        if self.size > LARGEST:
            # A value that holds another many times over has no end to speak of.
            raise TooLargeError(f"it is longer than {LARGEST} characters")
        if isinstance(value, dict):
            return {self.of(key, depth + 1): self.of(inner, depth + 1) for key, inner in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.of(inner, depth + 1) for inner in value]
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        raise TypeError(f"an object of type {type(value).__name__} is not JSON serializable")


def encoded(value: Any) -> str:
    """A value as JSON, with numpy's scalars as plain numbers.

    Raises:
        TypeError: JSON cannot hold it, or it is nested deeper than ``DEEPEST``.
        TooLargeError: it is longer than ``LARGEST``.
    """
    copy = _Copy().of(value, 0)
    try:
        return json.dumps(copy)
    except ValueError as error:
        # Of an int with thousands of digits.
        raise TypeError(str(error)) from None
