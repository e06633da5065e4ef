"""Refuse suggestions in places where a search cannot vary them, and values that were meant as suggestions."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from flyteoptuna.errors import SpaceError
from flyteoptuna.space.space import check_depth, item_path
from flyteoptuna.space.suggestions import SUGGEST_FUNCTIONS, Suggestion, is_suggestion
from flyteoptuna.values.did_you_mean import value_and_type

_SIMPLE = (int, float, str, bool, bytes, type(None))
# Maximum number of elements of an array that are checked.
_MAX_ELEMENTS = 10_000


def refuse_misplaced_suggestions(value: Any, path: str) -> None:
    """Raise ``SpaceError`` for a suggestion in a list, field or key, and for an uncalled or foreign suggestion."""
    _check_lookalike(value, path)
    _check_parts(value, path, None, ())


def _check_parts(value: Any, path: str, outer: str | None, above: tuple[int, ...]) -> None:
    container = outer if outer is not None and isinstance(value, Mapping) else _describe_container(value)
    if container is None:
        return
    check_depth(path, len(above))
    if id(value) in above:
        raise SpaceError(f"An input must not contain itself, but `{path}` is what it is in.")
    for place, part in _iter_parts(value):
        where = f"{path}{place}"
        if is_suggestion(part):
            raise SpaceError(
                f"A suggestion must be an input or a leaf of a dictionary, but `{where}` is in {container}"
            )
        _check_lookalike(part, where)
        nested = isinstance(value, Mapping) and outer is None
        _check_parts(part, where, None if nested else container, (*above, id(value)))


def _check_lookalike(value: Any, path: str) -> None:
    kind = type(value)
    if kind.__module__ == "optuna.distributions":
        name = {"Float": "float(low, high)", "Int": "integer(low, high)"}
        start = next((name[prefix] for prefix in name if kind.__name__.startswith(prefix)), "category(choices)")
        raise SpaceError(
            f"A search takes suggestions, not optuna's distributions: `{path}` must be suggest.{start}, but got "
            f"{value_and_type(value)}."
        )
    if any(value is function for function in SUGGEST_FUNCTIONS):
        raise SpaceError(
            f"A suggestion must be called, but `{path}` is the function itself: write suggest.{value.__name__}(...)."
        )
    if isinstance(value, type) and issubclass(value, Suggestion):
        raise SpaceError(
            f"`{path}` must be a suggestion, as suggest.float(low, high), but got {value_and_type(value)}."
        )


def _describe_container(value: Any) -> str | None:
    """Description of a container and the alternative to it, as in an error message; None for any other value."""
    kind, name = type(value), type(value).__name__
    package = kind.__module__.partition(".")[0]
    # Each attribute of flytekit's promises is a promise again, without end.
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


def _iter_parts(value: Any) -> Iterator[tuple[str, Any]]:
    """Parts of a container that may be or hold a suggestion, with their places."""
    if isinstance(value, Mapping):
        yield from ((item_path("", key), key) for key in value if is_suggestion(key))
        yield from ((item_path("", key), inner) for key, inner in value.items() if type(inner) not in _SIMPLE)
    elif isinstance(value, (list, tuple)):
        yield from ((f"[{index}]", inner) for index, inner in enumerate(value) if type(inner) not in _SIMPLE)
    elif isinstance(value, (set, frozenset)):
        yield from (("", inner) for inner in value if type(inner) not in _SIMPLE)
    elif hasattr(value, "columns") and hasattr(value, "items"):
        columns = value.items()
        yield from ((f"[{name!r}]{place}", inner) for name, array in columns for place, inner in _elements(array))
    elif hasattr(value, "dtype"):
        yield from _elements(value)
    elif getattr(value, "__defaults__", None):
        yield from (("", inner) for inner in value.__defaults__)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield from ((f".{field.name}", getattr(value, field.name, None)) for field in dataclasses.fields(value))
    elif hasattr(value, "__dict__"):
        # Suggestions alone, because the attributes of a user's class may lead to any object.
        yield from ((f".{key}", inner) for key, inner in vars(value).items() if is_suggestion(inner))


def _elements(array: Any) -> Iterator[tuple[str, Any]]:
    # Arrays of other dtypes cannot hold suggestions.
    if str(array.dtype) == "object":
        flat: Iterable[Any] = array.flat if hasattr(array, "flat") else array
        checked = enumerate(islice(flat, _MAX_ELEMENTS))
        yield from ((f"[{index}]", inner) for index, inner in checked if type(inner) not in _SIMPLE)
