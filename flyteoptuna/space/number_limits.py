"""Limits of the numbers in the inputs of a search: Flyte carries ints of 64 bits, and floats."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_origin

from flyteoptuna.errors import SpaceError
from flyteoptuna.space.space import item_path
from flyteoptuna.space.suggestions import is_suggestion
from flyteoptuna.space.type_members import accepts_mapping, dataclass_fields, item_annotation, union_members
from flyteoptuna.values.did_you_mean import value_and_type
from flyteoptuna.values.json_values import plain_scalar
from flyteoptuna.values.numbers import MAX_INT, MIN_INT

# Largest int in msgpack, which Flyte uses for a dataclass, a model and a dictionary without types.
MAX_PACKED_INT = 2**64 - 1


def check_numbers(value: Any, annotation: Any, path: str, *, packed: bool = False) -> None:
    """Raise a ``SpaceError`` for a number in an input that Flyte cannot carry.

    Args:
        value: the input, or a part of it.
        annotation: its type. A type that flytekit pickles has no limits.
        path: its dotted path.
        packed: whether it is a part of a dataclass, a model or a dictionary without types.
    """
    number = plain_scalar(value)
    if isinstance(number, int) and not isinstance(number, bool):
        _check_int(number, [*union_members(annotation)], path, packed=packed)
        return
    for place, part, kind, inside in _number_parts(value, annotation, packed=packed):
        check_numbers(part, kind, f"{path}{place}", packed=inside)


def _check_int(value: int, members: list[Any], path: str, *, packed: bool) -> None:
    if packed and not MIN_INT <= value <= MAX_PACKED_INT:
        raise SpaceError(
            f"Flyte's ints have 64 bits: `{MIN_INT} <= value <= {MAX_PACKED_INT}` must hold in a dictionary or a "
            f"dataclass, but `{path}` is {value_and_type(value)}. Pass it as text."
        )
    if not packed and int in members and not MIN_INT <= value <= MAX_INT:
        raise SpaceError(
            f"Flyte's ints have 64 bits: `{MIN_INT} <= {path} <= {MAX_INT}` must hold, but got "
            f"{value_and_type(value)}. Let the input be a float or a text."
        )
    if float in members and int not in members and not -sys.float_info.max <= value <= sys.float_info.max:
        raise SpaceError(
            f"A float is at most {sys.float_info.max:.3g}, but `{path}`, which is of type float, is "
            f"{value_and_type(value)}."
        )


def _number_parts(value: Any, annotation: Any, *, packed: bool) -> Iterator[tuple[str, Any, Any, bool]]:
    """Parts of a value that may be or hold numbers: place, part, type, and whether it is in msgpack."""
    members = union_members(annotation)
    if isinstance(value, Mapping):
        kind = next(filter(accepts_mapping, members), None)
        if kind is None or (kind in (Any, object) and not packed):
            return
        packed = packed or len(get_args(kind)) != 2
        places = [(item_path("", key), key) for key in value]
        yield from ((place, value[key], item_annotation(kind, key), packed) for place, key in places)
        yield from ((place, key, Any, True) for place, key in places if packed and isinstance(key, int))
    elif isinstance(value, (list, tuple)):
        kinds = [get_args(member) for member in members if get_origin(member) is list]
        if packed or kinds:
            kind = kinds[0][0] if kinds else Any
            yield from ((f"[{index}]", inner, kind, packed) for index, inner in enumerate(value))
    elif not is_suggestion(value) and (packed or any(dataclass_fields(member) is not None for member in members)):
        fields = dataclass_fields(type(value)) or {}
        yield from ((f".{name}", getattr(value, name, None), kind, True) for name, (kind, _) in fields.items())
