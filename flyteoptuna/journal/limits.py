"""Limits of a journal's objects, so that reading one of any origin takes bounded time and memory."""

from __future__ import annotations

# Maximum size of an object, and of the entries of a pack once inflated, bytes.
MAX_BYTES = 256 << 20
# Size of an inflated pack up to which any compression ratio is allowed, bytes, and the maximum ratio beyond it.
FREE_BYTES = 8 << 20
MAX_RATIO = 100
# Maximum number of values of an entry's JSON, counted by commas.
MAX_VALUES = 10_000_000
# Maximum number of lists and objects of an entry's JSON, which take more memory than other values.
MAX_CONTAINERS = 5_000_000


def exceeded_limit(text: bytes) -> str:
    """The limit that the JSON of an entry exceeds, in words; empty for none."""
    # A short text exceeds none, and need not be counted.
    if len(text) <= min(MAX_BYTES, MAX_VALUES, MAX_CONTAINERS):
        return ""
    for count, most, noun in (
        (len(text), MAX_BYTES, "bytes"),
        (text.count(b","), MAX_VALUES, "values"),
        (text.count(b"[") + text.count(b"{"), MAX_CONTAINERS, "lists and objects"),
    ):
        if count > most:
            return f"more than {most} {noun}"
    return ""
