"""Wrong values and names in error messages, with the name that may be meant."""

from __future__ import annotations

from collections.abc import Iterable

from flyteoptuna.values.text import safe_repr, type_name


def value_and_type(value: object) -> str:
    """Shortened ``repr`` of a value, and its type.

    >>> value_and_type("0.1")
    "'0.1' (str)"
    """
    return f"{safe_repr(value)} ({type_name(value)})"


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """A sentence that suggests the known name nearest to a wrong one; empty where none is near.

    >>> did_you_mean("concurency", ["concurrency", "n_trials"])
    ' Did you mean `concurrency`?'
    """
    import difflib

    near = difflib.get_close_matches(str(name), [*known], n=1)
    return f" Did you mean `{near[0]}`?" if near else ""


def join_names(names: Iterable[str], limit: int = 20) -> str:
    """At most ``limit`` names, separated by commas; ``none`` where there are none."""
    known = [*names]
    return (", ".join(known[:limit]) + (", ..." if len(known) > limit else "")) or "none"


class PlainMessage(str):
    """Message of a ``KeyError``, which would otherwise be shown as its ``repr``."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)
