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
# Beginnings of distributions of numbers, which have two objects, and separators of distributions, as Optuna writes them
# into strings. They are not counted, because a journal repeats them for each parameter.
_NUMERIC = tuple(
    rf'"{{\"name\": \"{name}Distribution\", \"attributes\": {{\"{field}\": '.encode()
    for name, field in (("Float", "step"), ("Int", "log"))
)
_SEPARATORS = tuple(rf", \"{field}\": ".encode() for field in ("attributes", "step", "low", "high", "log"))


class JsonSize(NamedTuple):
    """Size of JSON: its bytes, its values, and its lists and objects."""

    n_bytes: int = 0
    values: int = 0
    containers: int = 0

    def plus(self, text: bytes) -> JsonSize:
        """The size together with more JSON."""
        # The signs in strings count too, because a string that holds a distribution is parsed.
        values = _count_sign(text, b",") - sum(map(text.count, _SEPARATORS))
        containers = _count_sign(text, b"[") + _count_sign(text, b"{") - 2 * sum(map(text.count, _NUMERIC))
        return JsonSize(self.n_bytes + len(text), self.values + values, self.containers + containers)

    def excess(self) -> str:
        """The limit of a journal that is exceeded, in words; empty for none."""
        rules = (
            (self.n_bytes, MAX_TOTAL_BYTES, "bytes"),
            (self.values, MAX_VALUES, "values"),
            (self.containers, MAX_CONTAINERS, "lists and objects"),
        )
        return next((f"{count} {noun}, where {most} are allowed" for count, most, noun in rules if count > most), "")


def _count_sign(text: bytes, sign: bytes) -> int:
    """Count a sign in JSON, also as an escape, which is read as the sign."""
    count = text.count(sign)
    if rb"\u00" in text:
        count += sum(text.count(form % ord(sign)) for form in (rb"\u%04x", rb"\u%04X"))
    return count
