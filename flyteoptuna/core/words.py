"""The words of an error: values as they are shown, names that were nearly right, numbers that numpy made."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable
from typing import Any

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 120


def shown(value: object) -> str:
    """A value and its type, however long or broken its ``repr`` is."""
    return f"{_SHORT.repr(value)} ({type(value).__name__})"


def meant(name: object, known: Iterable[str]) -> str:
    """A sentence with the known name that is nearest to a wrong one; empty where none is near."""
    near = difflib.get_close_matches(str(name), [*known], n=1)
    return f" Did you mean `{near[0]}`?" if near else ""


def listed(names: Iterable[str], most: int = 20) -> str:
    """Names in a row, at most so many of them."""
    known = [*names]
    return (", ".join(known[:most]) + (", ..." if len(known) > most else "")) or "none"


def plain(value: Any) -> Any:
    """Python's own number or bool for one of numpy; anything else as it is. Numpy is not imported."""
    if type(value).__module__ != "numpy" or getattr(value, "shape", None) != ():
        return value
    number = value.item()
    # A `longdouble` is no number of Python's.
    return number if type(number).__module__ == "builtins" else float(number) if value.dtype.kind == "f" else value
