"""The suggestions in a search's inputs: their dotted paths, their values put in place, their JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from typing import Any, TypeAlias

from flyteoptuna.core.plain_values import plain
from flyteoptuna.core.refusal_words import got
from flyteoptuna.core.suggestions import Category, Float, Integer, SpaceError, Suggestion, is_suggestion

Draw: TypeAlias = Callable[[str, Suggestion], Any]


MAX_DEPTH = 100
"""Most dictionaries inside each other. Python, JSON and Flyte each end a few hundred levels below."""
MAX_NAME = 512
"""Most characters of a suggestion's name, as in the databases of optuna."""


def leaves(value: object, path: str, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Every leaf of a nested mapping with its dotted path, in the order in which it was written.

    Raises:
        SpaceError: the mapping is nested too deeply, as one that contains itself is.
    """
    if isinstance(value, Mapping):
        too_deep(path, depth)
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}", depth + 1)
    else:
        yield path, value


def too_deep(path: str, depth: int) -> None:
    """Refuse what is nested more than ``MAX_DEPTH`` levels deep, at a dotted path.

    Raises:
        SpaceError: it is.
    """
    if depth > MAX_DEPTH:
        raise SpaceError(
            f"An input must be nested at most {MAX_DEPTH} levels deep, and must not contain itself, but "
            f"`{path[:40]}...` goes on."
        )


def suggestions(inputs: Mapping[str, Any]) -> Iterator[tuple[str, Suggestion]]:
    """Every suggestion of a space with its dotted path; what else stands in its dictionaries is left out."""
    for name, value in inputs.items():
        yield from ((path, leaf) for path, leaf in leaves(value, name) if is_suggestion(leaf))


def has_suggestion(value: object, path: str = "") -> bool:
    """Whether a value is a suggestion or a mapping that holds one."""
    # All of it is looked at, so that what is too deep is refused.
    return sum(is_suggestion(leaf) for _, leaf in leaves(value, path)) > 0


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
        if isinstance(value, Category):
            return ["category", {"choices": value.named()}]
        for kind, cls in _KINDS.items():
            if isinstance(value, cls):
                return [kind, dict(vars(value))]
        if isinstance(value, Enum):
            # As it is suggested: by name.
            return ["value", value.name]
        try:
            json.dumps(plain(value))
        except (TypeError, ValueError, RecursionError):
            raise SpaceError(
                f"What stands beside suggestions must be numbers, strings, lists or the like, but `{path}` is "
                f"{got(value)}. Give it as an input of its own."
            ) from None
        return ["value", plain(value)]

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
