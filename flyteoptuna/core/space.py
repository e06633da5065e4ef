"""The suggestions in a search's inputs: their dotted paths, their values put in place, their JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

from flyteoptuna.core.suggestions import Category, Float, Integer, SpaceError, Suggestion, is_suggestion

Draw: TypeAlias = Callable[[str, Suggestion], Any]


def leaves(value: object, path: str) -> Iterator[tuple[str, Any]]:
    """Every leaf of a nested mapping with its dotted path, in the order in which it was written."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}")
    else:
        yield path, value


def suggestions(inputs: Mapping[str, Any]) -> Iterator[tuple[str, Suggestion]]:
    """Every suggestion of a space with its dotted path; what else stands in its dictionaries is left out."""
    for name, value in inputs.items():
        yield from ((path, leaf) for path, leaf in leaves(value, name) if is_suggestion(leaf))


def has_suggestion(value: object) -> bool:
    """Whether a value is a suggestion or a mapping that holds one."""
    return any(is_suggestion(leaf) for _, leaf in leaves(value, ""))


def materialise(value: Any, path: str, draw: Draw) -> Any:
    """A copy of ``value`` with each suggestion replaced by ``draw(dotted path, suggestion)``; it is not mutated."""
    if isinstance(value, Mapping):
        return {key: materialise(inner, f"{path}.{key}", draw) for key, inner in value.items()}
    return draw(path, value) if is_suggestion(value) else value


_KINDS: dict[str, type] = {"float": Float, "integer": Integer, "category": Category}


def dumps(space: Mapping[str, Any]) -> str:
    """A space as JSON, for the road to the driver pods. Suggestions are tagged lists, dictionaries lists of pairs."""

    def encode(value: Any, path: str) -> Any:
        if isinstance(value, Mapping):
            return ["dict", [[key, encode(inner, f"{path}.{key}")] for key, inner in value.items()]]
        for kind, cls in _KINDS.items():
            if isinstance(value, cls):
                return [kind, dict(vars(value))]
        try:
            json.dumps(value)
        except (TypeError, ValueError):
            raise SpaceError(
                f"What stands beside suggestions must be numbers, strings, lists or the like, but `{path}` is "
                f"{value!r} ({type(value).__name__})."
            ) from None
        return ["value", value]

    return json.dumps(["dict", [[name, encode(value, name)] for name, value in space.items()]])


def loads(text: str) -> dict[str, Any]:
    """The space that :func:`dumps` wrote."""

    def decode(tagged: list[Any]) -> Any:
        kind, body = tagged
        if kind == "dict":
            return {key: decode(inner) for key, inner in body}
        if kind == "category":
            return Category(tuple(body["choices"]))
        return body if kind == "value" else _KINDS[kind](**body)

    decoded: dict[str, Any] = decode(json.loads(text))
    return decoded
