"""What a study's file may hold at most, so that reading one takes bounded time and memory, whoever wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MAX_BYTES = 256 << 20
"""Most bytes of a file, and of each of its members once it is inflated."""

MAX_RATIO = 100
"""Most bytes that a compressed byte may become, in a member of more than ``FREE_BYTES``."""

FREE_BYTES = 8 << 20
"""Bytes that a member may always have once it is inflated."""

MAX_DIRECTORY = 4096
"""Most bytes of the zip's list of members."""

MAX_VALUES = 10_000_000
"""Most values of the JSON: they stand between commas."""

MAX_CONTAINERS = 5_000_000
"""Most lists and objects of the JSON, which take more memory than other values."""

MAX_TRIALS = 1_000_000
"""Most trials, distributions and spaces, each."""

MAX_OBJECTIVES = 100
"""Most directions."""

MAX_DEPTH = 100
"""Most lists and objects inside each other in an attribute."""

MAX_DIGITS = 4300
"""Most digits of an integer, as in Python's own default; more take quadratic time."""

_ROW_AND_ATTRIBUTES = (b'{"state":', b':{"state":', b': {"state":')

_PLAIN = {str, int, float, bool, type(None)}

_CONTAINER = (dict, list, tuple)


class Counter:
    """Counts what the JSON holds while it is read, and says what there is too much of."""

    def __init__(self) -> None:
        self.size = self.values = self.containers = self.trials = 0
        self._end = bytes(len(_ROW_AND_ATTRIBUTES[-1]) - 1)

    def add(self, text: bytes | bytearray) -> str:
        """Count a further piece of the JSON.

        Returns:
            What is too much; empty where nothing is.
        """
        self.size += len(text)
        self.values += text.count(b",")
        self.containers += text.count(b"[") + text.count(b"{")
        self.trials += self._trials(text)
        for count, most, noun in (
            (self.size, MAX_BYTES, "bytes of JSON"),
            (self.values, MAX_VALUES, "values of JSON"),
            (self.containers, MAX_CONTAINERS, "lists and objects of JSON"),
            (self.trials, MAX_TRIALS, "trials"),
        ):
            if count > most:
                return f"more than {most} {noun}"
        return ""

    def _trials(self, text: bytes | bytearray) -> int:
        # Attributes may hold a `state` of their own, and a piece may end within a row.
        begin, *attributes = (
            (self._end[len(self._end) + 1 - len(pattern) :] + text).count(pattern) for pattern in _ROW_AND_ATTRIBUTES
        )
        length = len(_ROW_AND_ATTRIBUTES[-1]) - 1
        self._end = (self._end + text[-length:])[-length:]
        return begin - sum(attributes)


def has_room(size: int) -> bool:
    """Whether JSON of so many bytes has room for too much, so that what it holds is to be counted."""
    return size > min(MAX_BYTES, MAX_VALUES, MAX_CONTAINERS, len(_ROW_AND_ATTRIBUTES[0]) * MAX_TRIALS)


def oversize(text: bytes | bytearray) -> str:
    """What makes JSON too large to be read; empty where nothing does."""
    return Counter().add(text) if has_room(len(text)) else ""


def inflates(size: int, compressed: int) -> bool:
    """Whether a member becomes more than its compressed bytes may become."""
    return size > max(FREE_BYTES, MAX_RATIO * compressed)


def directory(data: bytes) -> str:
    """What is wrong with the end of a zip, which tells how long its list of members is; empty where nothing is."""
    # `zipfile` reads a list of any length before it says how many members there are, and believes a second end
    # record, that of zip64, more than the first.
    end = data[-22:]
    if end[:4] != b"PK\5\6" or end[20:] != b"\0\0" or data[-42:-38] == b"PK\6\7":
        return "no zip ends there, or one of a form that is not written here"
    length = int.from_bytes(end[12:16], "little")
    return f"its list of members takes {length} bytes, where {MAX_DIRECTORY} are allowed" * (length > MAX_DIRECTORY)


def too_deep(attributes: Mapping[str, Any]) -> bool:
    """Whether attributes hold more than ``MAX_DEPTH`` lists and objects inside each other, themselves included."""
    for value in attributes.values():
        if type(value) not in _PLAIN and not (type(value) is dict and _PLAIN.issuperset(map(type, value.values()))):
            break
    else:
        # As most are.
        return False
    level: list[Any] = [attributes]
    for _ in range(MAX_DEPTH):
        level = [
            value
            for container in level
            # By their types first, which is quick.
            for value in (
                container.values() if type(container) is dict or isinstance(container, Mapping) else container
            )
            if type(value) not in _PLAIN and isinstance(value, _CONTAINER)
        ]
        if not level:
            return False
    return True
