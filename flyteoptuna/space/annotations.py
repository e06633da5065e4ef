"""Check inputs and suggestions against the annotations of the objective's inputs, and convert suggested values."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, Literal, get_args, get_origin

from flyteoptuna.errors import SpaceError
from flyteoptuna.space.misplaced_suggestions import refuse_misplaced_suggestions
from flyteoptuna.space.number_limits import check_numbers
from flyteoptuna.space.space import MAX_NAME, contains_suggestion
from flyteoptuna.space.suggestions import Category, Choice, Float
from flyteoptuna.space.type_members import (
    accepts_mapping,
    annotation_name,
    dataclass_fields,
    is_enum,
    item_annotation,
    union_members,
)
from flyteoptuna.values.annotated import strip_annotated
from flyteoptuna.values.did_you_mean import did_you_mean, join_names, value_and_type
from flyteoptuna.values.json_values import plain_scalar


def check_input(value: Any, annotation: Any, path: str) -> None:
    """Raise a ``SpaceError`` where an input, or a value that it could suggest, does not fit its annotation."""
    _check_part(value, annotation, path)
    check_numbers(value, annotation, path)


def _check_part(value: Any, annotation: Any, path: str) -> None:
    if not contains_suggestion(value, path):
        refuse_misplaced_suggestions(value, path)
        _check_fixed(value, annotation, path)
    elif isinstance(value, Mapping):
        _check_mapping(value, annotation, path)
    else:
        _check_suggestion(value, annotation, path)


def check_callback_input(value: Any, annotation: Any, path: str) -> None:
    """Check an input that a callback passes to the objective: a value of the annotated type, without suggestions."""
    if contains_suggestion(value, path):
        raise SpaceError(
            f"A callback suggests by its trial, as trial.suggest_float, but `{path}` is {value_and_type(value)}."
        )
    check_input(value, annotation, path)


def _check_mapping(value: Mapping[Any, Any], annotation: Any, path: str) -> None:
    mapping = next(filter(accepts_mapping, union_members(annotation)), None)
    if mapping is None:
        raise SpaceError(
            f"`{path}` is of type {annotation_name(annotation)}, which no dictionary can be, but got "
            f"{value_and_type(value)}."
        )
    for key in value:
        if not isinstance(key, str) or not key:
            raise SpaceError(
                f"Keys beside suggestions must be strings that are not empty, but `{path}` has {value_and_type(key)}."
            )
    fields = dataclass_fields(mapping)
    if fields is not None:
        required = {name for name, (_, needed) in fields.items() if needed}
        if unknown := [key for key in value if key not in fields]:
            raise SpaceError(
                f"`{path}` is of type {annotation_name(mapping)}, which has no `{unknown[0]}`; it has: "
                f"{join_names(fields)}.{did_you_mean(unknown[0], fields)}"
            )
        if missing := sorted(required - value.keys()):
            raise SpaceError(f"`{path}` is of type {annotation_name(mapping)}, which needs: {', '.join(missing)}.")
    for key, inner in value.items():
        _check_part(inner, item_annotation(mapping, key), f"{path}.{key}")


def _check_suggestion(value: Any, annotation: Any, path: str) -> None:
    if len(path) > MAX_NAME:
        raise SpaceError(
            f"The name of a suggestion must have at most {MAX_NAME} characters, but `{path[:40]}...` has {len(path)}."
        )
    for sample in value.choices if isinstance(value, Category) else (value.low, value.high):
        kind: Any = float(sample) if isinstance(value, Float) else sample  # type: ignore[arg-type]
        if not any(_fits_annotation(kind, member) for member in union_members(annotation)):
            raise SpaceError(
                f"`{path}` is of type {annotation_name(annotation)}, but {value!r} may suggest {value_and_type(kind)}."
                f"{_suggest_instead(kind, annotation)}"
            )


def _suggest_instead(value: Any, annotation: Any) -> str:
    if enums := [*filter(is_enum, union_members(annotation))]:
        return f" Suggest its members or their names: {join_names(enums[0].__members__)}."
    if isinstance(value, Enum):
        return f" Annotate the input as {type(value).__name__}, or suggest names: [kind.name for kind in ...]."
    kind = strip_annotated(annotation)
    if dataclass_fields(kind) is not None:
        return " Write a dictionary of its fields, with suggestions as leaves."
    if (get_origin(kind) or kind) in (list, tuple):
        return " Give its elements as inputs of their own, or suggest a name for each list and look it up."
    return ""


def _check_fixed(value: Any, annotation: Any, path: str) -> None:
    wanted, value = strip_annotated(annotation), plain_scalar(value)
    if wanted not in (int, float, str, bool) or isinstance(value, wanted) or (wanted is float and type(value) is int):
        return
    several = hasattr(value, "__len__") and not isinstance(value, (str, bytes))
    raise SpaceError(
        f"`{path}` is of type {annotation_name(annotation)}, but got {value_and_type(value)}."
        + (" To search over it, write suggest.category, suggest.integer or suggest.float." if several else "")
    )


def _fits_annotation(value: Choice, annotation: Any) -> bool:
    """Test whether an input of this annotation takes a suggested value."""
    if get_origin(annotation) is Literal:
        return any(value == a and type(value) is type(a) for a in get_args(annotation))
    if is_enum(annotation):
        return isinstance(value, annotation) or (type(value) is str and value in annotation.__members__)
    if annotation is float:
        return type(value) in (int, float)
    if annotation is type(None) or annotation is None:
        return value is None
    if annotation in (bool, int, str):
        return type(value) is annotation
    # A suggestion cannot stand for a container, a file or an instance of a user's class.
    return annotation is Any and not isinstance(value, Enum)


def convert_suggested(value: Any, annotation: Any) -> Any:
    """Convert a suggested value, or a dictionary with such values, to the type of its input.

    Ints become floats, because Flyte refuses an int for a float; names become members of the enum; dictionaries become
    dataclasses or models. Any other value is unchanged.
    """
    members = union_members(annotation)
    if any(type(value) is member for member in members):
        return value
    converted = (_convert(value, member) for member in members)
    return next((result for result in converted if result is not value), value)


def _convert(value: Any, annotation: Any) -> Any:
    if annotation is float and type(value) is int:
        return float(value)
    if is_enum(annotation) and type(value) is str:
        return annotation.__members__.get(value, value)
    if isinstance(value, dict):
        items = {key: convert_suggested(inner, item_annotation(annotation, key)) for key, inner in value.items()}
        if dataclass_fields(annotation) is not None:
            return annotation(**items)
        return items if get_origin(annotation) is dict else value
    return value
