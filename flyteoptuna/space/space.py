"""Search space: find the suggestions in the inputs, substitute their values, and store them as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from typing import Any, get_args, get_origin

from flyteoptuna.errors import SpaceError
from flyteoptuna.space.suggestions import Category, Float, Integer, Suggestion, is_suggestion
from flyteoptuna.space.type_members import accepts_mapping, item_annotation, takes_floats, union_members
from flyteoptuna.values.did_you_mean import value_and_type
from flyteoptuna.values.json_values import plain_scalar
from flyteoptuna.values.text import safe_repr

# Maximum nesting of dictionaries. Python, JSON and Flyte each fail a few hundred levels below.
MAX_INPUT_DEPTH = 100
# Maximum length of a suggestion's name, characters, as in Optuna's database schema.
MAX_NAME = 512


def iter_leaves(value: object, path: str, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Leaves of a nested mapping with their dotted paths, in order; raises ``SpaceError`` where it is too deep."""
    if isinstance(value, Mapping):
        check_depth(path, depth)
        for key, inner in value.items():
            yield from iter_leaves(inner, item_path(path, key), depth + 1)
    else:
        yield path, value


def item_path(path: str, key: Any) -> str:
    """Dotted path of an item of a mapping."""
    # Python refuses to print an int of thousands of digits.
    return f"{path}.{safe_repr(key) if isinstance(key, int) else key}"


def check_depth(path: str, depth: int) -> None:
    """Raise a ``SpaceError`` where ``depth`` exceeds ``MAX_DEPTH``."""
    if depth > MAX_INPUT_DEPTH:
        raise SpaceError(
            f"An input must be nested at most {MAX_INPUT_DEPTH} levels deep, and must not contain itself, but "
            f"`{path[:40]}...` goes on."
        )


def iter_suggestions(inputs: Mapping[str, Any]) -> Iterator[tuple[str, Suggestion]]:
    """Suggestions in the inputs with their dotted paths."""
    for name, value in inputs.items():
        yield from ((path, leaf) for path, leaf in iter_leaves(value, name) if is_suggestion(leaf))


def contains_suggestion(value: object, path: str = "") -> bool:
    """Test whether a value is a suggestion or a mapping that holds one."""
    # Visits all leaves, without stopping at the first suggestion, so that too deep a mapping always raises.
    return sum(is_suggestion(leaf) for _, leaf in iter_leaves(value, path)) > 0


def substitute_suggestions(value: Any, path: str, draw: Callable[[str, Suggestion], Any]) -> Any:
    """A copy of ``value`` with each suggestion replaced by ``draw(dotted path, suggestion)``."""
    if isinstance(value, Mapping):
        return {key: substitute_suggestions(inner, item_path(path, key), draw) for key, inner in value.items()}
    return draw(path, value) if is_suggestion(value) else value


def space_to_json(space: Mapping[str, Any], types: Mapping[str, Any] | None = None) -> str:
    """A space as JSON. Each value is a list of its kind and its content; a dictionary is a list of pairs.

    ``types`` are those of the inputs, by name: a suggestion of ints for an input that takes floats has the mark
    ``float`` after its content.
    """

    def encode(value: Any, path: str, annotation: Any) -> Any:
        if isinstance(value, Mapping):
            kind = next(filter(accepts_mapping, union_members(annotation)), Any)
            items = ((key, inner, item_path(path, key)) for key, inner in value.items())
            return ["dict", [[key, encode(inner, at, item_annotation(kind, key))] for key, inner, at in items]]
        mark = ["float"] if takes_floats(annotation) else []
        if isinstance(value, Category):
            return ["category", {"choices": value.choice_names()}, *mark]
        if isinstance(value, (Float, Integer)):
            return [type(value).__name__.lower(), vars(value), *mark]
        if isinstance(value, Enum):
            # By name, like the members in a category.
            return ["value", value.name]
        try:
            json.dumps(plain_scalar(value))
        except (TypeError, ValueError, RecursionError):
            raise SpaceError(
                f"What stands beside suggestions must be numbers, strings, lists or the like, but `{path}` is "
                f"{value_and_type(value)}. Give it as an input of its own."
            ) from None
        return ["value", _as_floats(plain_scalar(value), annotation)]

    types = types or {}
    return json.dumps(["dict", [[name, encode(value, name, types.get(name, Any))] for name, value in space.items()]])


def _as_floats(value: Any, annotation: Any) -> Any:
    """The ints in a value as floats, where its type takes floats alone."""
    if isinstance(value, list):
        elements = [get_args(member)[0] for member in union_members(annotation) if get_origin(member) is list]
        return [_as_floats(inner, elements[0]) for inner in value] if len(elements) == 1 else value
    return float(value) if type(value) is int and takes_floats(annotation) else value


def space_from_json(text: str) -> dict[str, Any]:
    """The space that ``space_to_json`` wrote."""

    def decode(tagged: list[Any]) -> Any:
        kind, body, *_ = tagged
        if kind == "dict":
            return {key: decode(inner) for key, inner in body}
        if kind == "category":
            return Category(tuple(body["choices"]))
        return body if kind == "value" else {"float": Float, "integer": Integer}[kind](**body)

    return {name: decode(tagged) for name, tagged in json.loads(text)[1]}


def inputs_from_json(text: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs that a trial had of a space in JSON, from its parameters.

    Raises:
        KeyError: the trial has no such parameter.
    """

    def decode(tagged: list[Any], path: str) -> Any:
        kind, body, *mark = tagged
        if kind == "dict":
            return {key: decode(inner, item_path(path, key)) for key, inner in body}
        if kind == "value":
            return body
        if kind not in ("float", "integer", "category"):
            raise ValueError(f"unknown kind {kind!r}")
        return float(params[path]) if mark and type(params[path]) is int else params[path]

    return {name: decode(tagged, name) for name, tagged in json.loads(text)[1]}
