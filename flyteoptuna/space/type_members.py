"""Members of types: those of unions, the fields of dataclasses and models, and the items of dictionaries."""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Mapping
from enum import Enum
from typing import Any, Union, get_args, get_origin

from flyteoptuna.values.annotated import strip_annotated


def annotation_name(annotation: Any) -> str:
    """Name of a type in error messages."""
    return annotation.__name__ if isinstance(annotation, type) and not get_args(annotation) else str(annotation)


def dataclass_fields(annotation: Any) -> dict[str, tuple[Any, bool]] | None:
    """Fields of a dataclass or a pydantic model: type of each, and whether it is required. None for other types."""
    return _fields_of(annotation) if is_class(annotation) else None


@functools.cache
def _fields_of(cls: Any) -> dict[str, tuple[Any, bool]] | None:
    if dataclasses.is_dataclass(cls):
        hints = typing.get_type_hints(cls, include_extras=True)
        unset = dataclasses.MISSING
        fields = [f for f in dataclasses.fields(cls) if f.init]
        return {f.name: (hints[f.name], f.default is unset and f.default_factory is unset) for f in fields}
    if isinstance(models := getattr(cls, "model_fields", None), Mapping):
        return {name: (field.annotation, field.is_required()) for name, field in models.items()}
    return None


def is_class(annotation: Any) -> bool:
    """Test whether an annotation is a class without type arguments."""
    # In Python 3.10, `list[int]` is an instance of `type` too.
    return isinstance(annotation, type) and get_origin(annotation) is None


def accepts_mapping(annotation: Any) -> bool:
    """Test whether an input of this type may be given as a dictionary."""
    kind = get_origin(annotation) or annotation
    mapping = is_class(kind) and issubclass(kind, Mapping)
    return mapping or annotation is Any or annotation is object or dataclass_fields(annotation) is not None


def item_annotation(annotation: Any, key: str) -> Any:
    """Type of a field of a dataclass or a model, or of an item of a dictionary; ``Any`` if it is unknown."""
    fields = dataclass_fields(annotation)
    if fields is not None:
        return fields[key][0] if key in fields else Any
    args = get_args(annotation)
    return args[1] if len(args) == 2 else Any


def union_members(annotation: Any) -> list[Any]:
    """Members of a union; the annotation alone otherwise."""
    annotation = strip_annotated(annotation)
    if get_origin(annotation) in (Union, types.UnionType):
        return [member for inner in get_args(annotation) for member in union_members(inner)]
    return [annotation]


def is_enum(annotation: Any) -> bool:
    """Test whether an annotation is an enum."""
    return is_class(annotation) and issubclass(annotation, Enum)


def takes_floats(annotation: Any) -> bool:
    """Test whether an input of this type takes floats and no ints, so that an int becomes a float."""
    members = union_members(annotation)
    return float in members and int not in members
