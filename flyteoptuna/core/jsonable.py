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


def _default(value: Any) -> Any:
    made = plain(value)
    if made is value:
        raise TypeError(f"an object of type {type(value).__name__} is not JSON serializable")
    return made


_ENCODER = json.JSONEncoder(default=_default)


def encoded(value: Any) -> str:
    """A value as JSON, with numpy's scalars as plain numbers.

    Raises:
        TypeError: JSON cannot hold it, or it is nested deeper than ``DEEPEST``.
        TooLargeError: it is longer than ``LARGEST``.
    """
    parts: list[str] = []
    size = depth = 0
    try:
        # In pieces, for a value that holds itself many times over has no end to speak of.
        for part in _ENCODER.iterencode(value):
            parts.append(part)
            size += len(part)
            if size > LARGEST:
                raise TooLargeError(f"it is longer than {LARGEST} characters")
            depth += (part[0] in "[{" and part not in ("[]", "{}")) - (part in ("]", "}"))
            if depth > DEEPEST:
                raise TypeError(f"it is nested deeper than {DEEPEST}")
    except TooLargeError:
        raise
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(str(error)) from None
    return "".join(parts)
