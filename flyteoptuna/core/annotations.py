"""Whether the type of an input takes what is suggested for it."""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from flyteoptuna.core.space import has_suggestion
from flyteoptuna.core.suggestions import Category, Choice, Float, SpaceError, is_suggestion


def check_input(value: Any, annotation: Any, path: str) -> None:
    """Check an input that may hold suggestions against the annotation of the objective's input.

    Args:
        value: the input as it was written.
        annotation: the type of the input.
        path: dotted path of the input.

    Raises:
        SpaceError: a suggestion stands where none can be, or could suggest what the annotation does not allow.
    """
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if has_suggestion(value) and not isinstance(key, str):
                raise SpaceError(f"Keys beside suggestions must be strings, but `{path}` has {key!r}.")
            check_input(inner, _inner(annotation), f"{path}.{key}")
    elif isinstance(value, (list, tuple, set, frozenset)):
        if any(has_suggestion(item) for item in value):
            raise SpaceError(
                f"A suggestion must be an input or a leaf of a dictionary, but `{path}` is a {type(value).__name__} "
                "that holds one."
            )
    elif is_suggestion(value):
        for sample in value.choices if isinstance(value, Category) else (value.low, value.high):
            kind: Any = float(sample) if isinstance(value, Float) else sample  # type: ignore[arg-type]
            if not fits(kind, annotation):
                raise SpaceError(
                    f"`{path}` is of type {_named(annotation)}, but {value!r} may suggest {kind!r} "
                    f"({type(kind).__name__})."
                )


def _named(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) and not get_args(annotation) else str(annotation)


def _inner(annotation: Any) -> Any:
    annotation = _bare(annotation)
    if get_origin(annotation) in (Union, types.UnionType):
        dicts = [a for a in get_args(annotation) if a is dict or get_origin(a) is dict]
        return _inner(dicts[0]) if dicts else Any
    args = get_args(annotation)
    return args[1] if get_origin(annotation) is dict and len(args) == 2 else Any


def _bare(annotation: Any) -> Any:
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def fits(value: Choice, annotation: Any) -> bool:
    """Whether an input of a type takes a suggested value: an int is a float too, but a bool is no number."""
    annotation = _bare(annotation)
    if get_origin(annotation) in (Union, types.UnionType):
        return any(fits(value, a) for a in get_args(annotation))
    if get_origin(annotation) is Literal:
        return any(value == a and type(value) is type(a) for a in get_args(annotation))
    if annotation is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if annotation is type(None) or annotation is None:
        return value is None
    if annotation in (bool, int, str):
        return type(value) is annotation
    # What a container, a file or a class of the user's could be made of is not for a suggestion to say.
    return annotation is Any


def fitted(value: Any, annotation: Any) -> Any:
    """``value`` with its ints as floats where the annotation has floats alone, for Flyte takes no int for a float."""
    annotation = _bare(annotation)
    if get_origin(annotation) in (Union, types.UnionType):
        kinds = get_args(annotation)
        made = (fitted(value, kind) for kind in kinds if int not in kinds)
        return next((each for each in made if each is not value), value)
    if annotation is float and type(value) is int:
        return float(value)
    if isinstance(value, dict) and get_origin(annotation) is dict:
        return {key: fitted(inner, _inner(annotation)) for key, inner in value.items()}
    return value
