"""Wrong values and names in error messages, with the name that may be meant."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar, cast

from flyteoptuna.values.text import safe_repr, type_name

_F = TypeVar("_F", bound=Callable[..., Any])


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


def accepts_keywords(known: Sequence[str], message: Callable[[str], str]) -> Callable[[_F], _F]:
    """Decorator: raise a ``TypeError`` with a message about any keyword argument that is not known."""

    def decorate(function: _F) -> _F:
        @functools.wraps(function)
        def checked(*args: Any, **given: Any) -> Any:
            for name in given:
                if name not in known:
                    raise TypeError(message(name))
            return function(*args, **given)

        return cast("_F", checked)

    return decorate


def names_arguments(function: _F) -> _F:
    """Decorator: a keyword argument that a public function does not have is an error that names the nearest one."""
    code = cast("Any", function).__code__
    known = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    of = f"{'suggest.' * function.__module__.endswith('.suggest')}{function.__name__}"

    def message(name: str) -> str:
        return f"{of} has no argument `{name}`; it has: {join_names(known)}.{did_you_mean(name, known)}"

    return accepts_keywords(known, message)(function)


def join_names(names: Iterable[str], limit: int = 20) -> str:
    """At most ``limit`` names, separated by commas; ``none`` where there are none."""
    known = [*names]
    return (", ".join(known[:limit]) + (", ..." if len(known) > limit else "")) or "none"


class PlainMessage(str):
    """Message of a ``KeyError``, which would otherwise be shown as its ``repr``."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)
