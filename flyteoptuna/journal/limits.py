"""Limits of a journal, so that reading one of any origin takes bounded time and memory."""

from __future__ import annotations

from typing import NamedTuple

# Maximum size of an object, and of the entries of a pack once inflated, bytes.
MAX_BYTES = 256 << 20
# Size of an inflated pack up to which any compression ratio is allowed, bytes, and the maximum ratio beyond it.
FREE_BYTES = 8 << 20
MAX_RATIO = 100
# Size of the objects that are requested at once, bytes.
WINDOW_BYTES = 64 << 20
# Maximum size of all entries of a journal, bytes: twice that of a study's file, because a journal keeps attributes that
# were set again, and repeats each distribution.
MAX_TOTAL_BYTES = 512 << 20
# Maximum number of values of all entries together, counted by commas.
MAX_VALUES = 10_000_000
# Maximum number of lists and objects of all entries together, which take more memory than other values.
MAX_CONTAINERS = 5_000_000


class JsonSize(NamedTuple):
    """Size of JSON: its bytes, its values, and its lists and objects."""

    n_bytes: int = 0
    values: int = 0
    containers: int = 0

    def plus(self, text: bytes) -> JsonSize:
        """The size together with more JSON."""
        # Only in a string, such as that of a distribution, a backslash can follow.
        values = text.count(b",") - text.count(b', \\"')
        containers = text.count(b"[") + text.count(b"{") - text.count(b'{\\"')
        return JsonSize(self.n_bytes + len(text), self.values + values, self.containers + containers)

    def excess(self) -> str:
        """The limit of a journal that is exceeded, in words; empty for none."""
        rules = (
            (self.n_bytes, MAX_TOTAL_BYTES, "bytes"),
            (self.values, MAX_VALUES, "values"),
            (self.containers, MAX_CONTAINERS, "lists and objects"),
        )
        return next((f"{count} {noun}, where {most} are allowed" for count, most, noun in rules if count > most), "")
