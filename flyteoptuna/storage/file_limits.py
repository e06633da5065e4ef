"""Limits of a study's file, so that reading a file of any origin takes bounded time and memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Maximum size of a file, and of each inflated member, bytes.
MAX_BYTES = 256 << 20
# Size of an inflated member up to which any compression ratio is allowed, bytes, and the maximum ratio beyond it.
FREE_BYTES = 8 << 20
MAX_RATIO = 100
# Maximum size of the zip's central directory, bytes.
MAX_DIRECTORY = 4096
# Maximum number of values of the JSON, counted by commas.
MAX_VALUES = 10_000_000
# Maximum number of lists and objects of the JSON, which take more memory than other values.
MAX_CONTAINERS = 5_000_000
# Maximum number of trials, of distributions and of spaces.
MAX_TRIALS = 1_000_000
# Maximum number of directions.
MAX_OBJECTIVES = 100
# Maximum nesting depth of attributes.
MAX_DEPTH = 100
# Maximum number of digits of an integer, Python's own default: parsing takes quadratic time.
MAX_DIGITS = 4300
# Maximum length of an exception in the message of a file that cannot be read, characters.
MAX_REASON = 300

_PLAIN = {str, int, float, bool, type(None)}


def find_excess(text: bytes | bytearray) -> str:
    """The limit that JSON exceeds, in words; empty for none."""
    row = b'{"state":'
    # A short text exceeds none, and need not be counted.
    if len(text) <= min(MAX_BYTES, MAX_VALUES, MAX_CONTAINERS, len(row) * MAX_TRIALS):
        return ""
    # Attributes may contain a `state` too.
    trials = text.count(row) - text.count(b":" + row) - text.count(b": " + row)
    for count, most, noun in (
        (len(text), MAX_BYTES, "bytes of JSON"),
        (text.count(b","), MAX_VALUES, "values of JSON"),
        (text.count(b"[") + text.count(b"{"), MAX_CONTAINERS, "lists and objects of JSON"),
        (trials, MAX_TRIALS, "trials"),
    ):
        if count > most:
            return f"more than {most} {noun}"
    return ""


def exceeds_ratio(size: int, compressed: int) -> bool:
    """Test whether a member of ``size`` inflated bytes exceeds the compression ratio."""
    return size > max(FREE_BYTES, MAX_RATIO * compressed)


def check_directory(data: bytes) -> str:
    """The problem with a zip's end record, which has the size of the central directory; empty for none."""
    # `zipfile` reads a central directory of any size, and prefers the end record of zip64 to this one.
    end = data[-22:]
    if end[:4] != b"PK\5\6" or end[20:] != b"\0\0" or data[-42:-38] == b"PK\6\7":
        return "not the zip that a search writes"
    length = int.from_bytes(end[12:16], "little")
    return f"its list of members takes {length} bytes, where {MAX_DIRECTORY} are allowed" * (length > MAX_DIRECTORY)


def is_nested_too_deeply(attributes: Mapping[str, Any]) -> bool:
    """Test whether attributes are nested deeper than ``MAX_DEPTH``, themselves included."""
    for value in attributes.values():
        if type(value) not in _PLAIN and not (type(value) is dict and _PLAIN.issuperset(map(type, value.values()))):
            break
    else:
        # Most attributes are flat.
        return False
    level: list[Any] = [attributes]
    for _ in range(MAX_DEPTH):
        level = [
            value
            for container in level
            # The exact type first, which is faster.
            for value in (
                container.values() if type(container) is dict or isinstance(container, Mapping) else container
            )
            if type(value) not in _PLAIN and isinstance(value, (dict, list, tuple))
        ]
        if not level:
            return False
    return True
