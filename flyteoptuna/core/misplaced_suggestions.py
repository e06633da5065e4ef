"""Suggestions where none can be, and what was written in place of one: said, and how to write it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from flyteoptuna.core.refusal_words import got
from flyteoptuna.core.space import too_deep
from flyteoptuna.core.suggestions import SpaceError, is_suggestion

_SIMPLE = (int, float, str, bool, bytes, type(None))
_MOST = 10_000
"""Most elements of an array that are looked at."""


def check_placed(value: Any, path: str) -> None:
    """Check an input, or a leaf of one, that holds no suggestion where one may be.

    Args:
        value: the input as it was written.
        path: its dotted path.

    Raises:
        SpaceError: it holds one where none can be, or what is no suggestion but was meant as one.
    """
    _check_meant(value, path)
    _check_parts(value, path, None, ())


def _check_parts(value: Any, path: str, outer: str | None, above: tuple[int, ...]) -> None:
    holder = outer if outer is not None and isinstance(value, Mapping) else _holder(value)
    if holder is None:
        return
    too_deep(path, len(above))
    if id(value) in above:
        raise SpaceError(f"An input must not contain itself, but `{path}` is what it is in.")
    for place, inner in _parts(value):
        where = f"{path}{place}"
        if is_suggestion(inner):
            raise SpaceError(f"A suggestion must be an input or a leaf of a dictionary, but `{where}` is in {holder}")
        _check_meant(inner, where)
        nested = isinstance(value, Mapping) and outer is None
        _check_parts(inner, where, None if nested else holder, (*above, id(value)))


def _check_meant(value: Any, path: str) -> None:
    kind = type(value)
    if kind.__module__ == "optuna.distributions":
        name = {"Float": "float(low, high)", "Int": "integer(low, high)"}
        start = next((name[each] for each in name if kind.__name__.startswith(each)), "category(choices)")
        raise SpaceError(
            f"A search takes suggestions, not optuna's distributions: `{path}` must be suggest.{start}, but got "
            f"{got(value)}."
        )
    if callable(value) and getattr(value, "__module__", None) == "flyteoptuna.suggest":
        raise SpaceError(
            f"A suggestion must be called, but `{path}` is the function itself: write suggest.{value.__name__}(...)."
        )
    if isinstance(value, type) and value.__module__ == "flyteoptuna.core.suggestions":
        raise SpaceError(f"`{path}` must be a suggestion, as suggest.float(low, high), but got {got(value)}.")


def _holder(value: Any) -> str | None:
    """What holds other values, as an error says it, with what to write instead; None for what holds none."""
    kind, name = type(value), type(value).__name__
    package = kind.__module__.partition(".")[0]
    # A promise of flytekit is no holder, for each attribute of it is a promise again.
    if kind in _SIMPLE or package in ("flytekit", "flyteoptuna", "optuna"):
        return None
    if isinstance(value, Mapping):
        return f"the keys of a {name}."
    if isinstance(value, (list, tuple, set, frozenset)) or package in ("numpy", "pandas"):
        return f"a {name}. Give the elements as inputs of their own, or write a dictionary."
    if getattr(value, "__defaults__", None):
        return f"a default of the function {value.__qualname__}. Give it as an input of its own."
    if dataclasses.is_dataclass(value) or hasattr(kind, "model_fields"):
        return f"a field of {name}. Write a dictionary of its fields in its place, and the objective gets a {name}."
    return f"an attribute of a {name}. Give it as an input of its own." if hasattr(value, "__dict__") else None


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """What a value holds that may be or hold a suggestion, with its place."""
    if isinstance(value, Mapping):
        yield from ((f".{key}", key) for key in value if is_suggestion(key))
        yield from ((f".{key}", inner) for key, inner in value.items() if type(inner) not in _SIMPLE)
    elif isinstance(value, (list, tuple)):
        yield from ((f"[{index}]", inner) for index, inner in enumerate(value) if type(inner) not in _SIMPLE)
    elif isinstance(value, (set, frozenset)):
        yield from (("", inner) for inner in value if type(inner) not in _SIMPLE)
    elif hasattr(value, "columns") and hasattr(value, "items"):
        yield from ((f"[{name!r}]{place}", inner) for name, each in value.items() for place, inner in _elements(each))
    elif hasattr(value, "dtype"):
        yield from _elements(value)
    elif getattr(value, "__defaults__", None):
        yield from (("", inner) for inner in value.__defaults__)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield from ((f".{field.name}", getattr(value, field.name, None)) for field in dataclasses.fields(value))
    elif hasattr(value, "__dict__"):
        # What it holds itself: the attributes of a class of the user's may lead anywhere.
        yield from ((f".{key}", inner) for key, inner in vars(value).items() if is_suggestion(inner))


def _elements(array: Any) -> Iterator[tuple[str, Any]]:
    # Only objects can be suggestions.
    if str(array.dtype) == "object":
        flat: Iterable[Any] = array.ravel() if hasattr(array, "ravel") else array
        found = enumerate(islice(flat, _MOST))
        yield from ((f"[{index}]", inner) for index, inner in found if type(inner) not in _SIMPLE)
