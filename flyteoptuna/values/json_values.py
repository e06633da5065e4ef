"""Python values as JSON, and numpy scalars as Python values."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

# Maximum length of a value's JSON, characters; no report has room for more.
MAX_JSON = 1_500_000
# Maximum nesting of lists and dictionaries. Reading and writing JSON recurses, on top of stacks of any depth.
MAX_JSON_DEPTH = 100


# An escape in JSON; `lone` if it is half a surrogate pair, without the other half.
_HIGH, _LOW = r"\\u[dD][89abAB][0-9a-fA-F]{2}", r"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_ESCAPE = re.compile(rf"{_HIGH}{_LOW}|(?P<lone>{_HIGH}|{_LOW})|\\.", re.DOTALL)
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class JsonTooLongError(ValueError):
    """The JSON of a value would be longer than ``MAX_JSON`` characters."""


def plain_scalar(value: Any) -> Any:
    """A numpy scalar as a Python number, bool or string; any other value unchanged."""
    # There are no numpy values unless numpy has been imported.
    numpy = sys.modules.get("numpy")
    if numpy is None or not isinstance(value, (numpy.generic, numpy.ndarray)) or value.shape != ():
        return value
    item = value.item()
    # Python has no equivalent of a `longdouble`: `item` returns it unchanged.
    return item if not isinstance(item, numpy.generic) else float(item) if value.dtype.kind == "f" else value


def escape_surrogates(text: str) -> str:
    r"""JSON whose texts hold no half of a surrogate pair, which no UTF-8, and so no database or table, can hold.

    The half is replaced by its escape: the text of one character becomes one of six, ``\\ud800``.
    """
    if _SURROGATE.search(text) is None:
        return text
    return _ESCAPE.sub(lambda match: f"\\{match[0]}" if match["lone"] else match[0], text)


def to_json(value: Any) -> str:
    """A value as JSON, numpy scalars included.

    Raises:
        TypeError: JSON cannot hold the value, or it is nested more than ``MAX_JSON_DEPTH`` levels deep.
        JsonTooLongError: the JSON would be longer than ``MAX_JSON`` characters.
    """
    size = 0

    def plain_copy(value: Any, depth: int) -> Any:
        nonlocal size
        if depth > MAX_JSON_DEPTH:
            raise TypeError(f"it is nested deeper than {MAX_JSON_DEPTH}, or holds itself")
        value = plain_scalar(value)
        size += (len(value) if isinstance(value, str) else 1) + 2
        if size > MAX_JSON:
            # Checked while copying: a small value that holds another many times has an enormous JSON.
            raise JsonTooLongError(f"it is longer than {MAX_JSON} characters")
        if isinstance(value, dict):
            return {plain_copy(key, depth + 1): plain_copy(inner, depth + 1) for key, inner in value.items()}
        if isinstance(value, (list, tuple)):
            return [plain_copy(inner, depth + 1) for inner in value]
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        raise TypeError(f"an object of type {type(value).__name__} is not JSON serializable")

    copy = plain_copy(value, 0)
    try:
        return json.dumps(copy)
    except ValueError as error:
        # Python refuses to print an int of thousands of digits.
        raise TypeError(str(error)) from None
