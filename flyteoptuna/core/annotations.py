"""Whether the type of an input takes what is suggested for it."""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Mapping
from enum import Enum
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from flyteoptuna.core.misplaced_suggestions import check_placed
from flyteoptuna.core.plain_values import plain
from flyteoptuna.core.refusal_words import got, listed, meant
from flyteoptuna.core.space import MAX_NAME, has_suggestion
from flyteoptuna.core.suggestions import Category, Choice, Float, SpaceError


def check_input(value: Any, annotation: Any, path: str) -> None:
    """Check an input that may hold suggestions against the annotation of the objective's input.

    Args:
        value: the input as it was written.
        annotation: the type of the input.
        path: dotted path of the input.

    Raises:
        SpaceError: a suggestion stands where none can be, or could suggest what the annotation does not allow.
    """
    if not has_suggestion(value, path):
        check_placed(value, path)
        _check_fixed(value, annotation, path)
    elif isinstance(value, Mapping):
        _check_mapping(value, annotation, path)
    else:
        _check_suggestion(value, annotation, path)


def check_value(value: Any, annotation: Any, path: str) -> None:
    """Check an input that a callback made against its annotation.

    Args:
        value: the input.
        annotation: its type.
        path: its name.

    Raises:
        SpaceError: it is or holds a suggestion, or is plainly of another type.
    """
    if has_suggestion(value, path):
        raise SpaceError(f"A callback suggests by its trial, as trial.suggest_float, but `{path}` is {got(value)}.")
    check_placed(value, path)
    _check_fixed(value, annotation, path)


def _check_mapping(value: Mapping[Any, Any], annotation: Any, path: str) -> None:
    takes = annotation_of_mapping(annotation)
    if takes is None:
        raise SpaceError(f"`{path}` is of type {_named(annotation)}, which no dictionary can be, but got {got(value)}.")
    for key in value:
        if not isinstance(key, str) or not key:
            raise SpaceError(
                f"Keys beside suggestions must be strings that are not empty, but `{path}` has {got(key)}."
            )
    names = fields(takes)
    if names is not None:
        required = {name for name, (_, needed) in names.items() if needed}
        if unknown := [key for key in value if key not in names]:
            raise SpaceError(
                f"`{path}` is of type {_named(takes)}, which has no `{unknown[0]}`; it has: {listed(names)}."
                f"{meant(unknown[0], names)}"
            )
        if missing := sorted(required - value.keys()):
            raise SpaceError(f"`{path}` is of type {_named(takes)}, which needs: {', '.join(missing)}.")
    for key, inner in value.items():
        check_input(inner, _inner(takes, key), f"{path}.{key}")


def _check_suggestion(value: Any, annotation: Any, path: str) -> None:
    if len(path) > MAX_NAME:
        raise SpaceError(
            f"The name of a suggestion must have at most {MAX_NAME} characters, but `{path[:40]}...` has {len(path)}."
        )
    for sample in value.choices if isinstance(value, Category) else (value.low, value.high):
        kind: Any = float(sample) if isinstance(value, Float) else sample  # type: ignore[arg-type]
        if not fits(kind, annotation):
            raise SpaceError(
                f"`{path}` is of type {_named(annotation)}, but {value!r} may suggest {got(kind)}."
                f"{_instead(kind, annotation)}"
            )


def _instead(value: Any, annotation: Any) -> str:
    enum = _enum(annotation)
    if enum is not None:
        return f" Suggest its members or their names: {listed(enum.__members__)}."
    if isinstance(value, Enum):
        return f" Annotate the input as {type(value).__name__}, or suggest names: [kind.name for kind in ...]."
    if fields(bare(annotation)) is not None:
        return " Write a dictionary of its fields, with suggestions as leaves."
    if get_origin(bare(annotation)) in (list, tuple) or bare(annotation) in (list, tuple):
        return " Give its elements as inputs of their own, or suggest a name for each list and look it up."
    return ""


def _check_fixed(value: Any, annotation: Any, path: str) -> None:
    wanted, value = bare(annotation), plain(value)
    if wanted not in (int, float, str, bool) or isinstance(value, wanted) or (wanted is float and type(value) is int):
        return
    several = hasattr(value, "__len__") and not isinstance(value, (str, bytes))
    raise SpaceError(
        f"`{path}` is of type {_named(annotation)}, but got {got(value)}."
        + (" To search over it, write suggest.category, suggest.integer or suggest.float." if several else "")
    )


def _named(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) and not get_args(annotation) else str(annotation)


def fields(annotation: Any) -> dict[str, tuple[Any, bool]] | None:
    """The fields of a dataclass or a pydantic model: the type of each, and whether it must be given; else None."""
    return _fields_of(annotation) if _is_class(annotation) else None


@functools.cache
def _fields_of(cls: Any) -> dict[str, tuple[Any, bool]] | None:
    if dataclasses.is_dataclass(cls):
        hints = typing.get_type_hints(cls, include_extras=True)
        unset = dataclasses.MISSING
        made = [each for each in dataclasses.fields(cls) if each.init]
        return {f.name: (hints[f.name], f.default is unset and f.default_factory is unset) for f in made}
    if isinstance(models := getattr(cls, "model_fields", None), Mapping):
        return {name: (field.annotation, field.is_required()) for name, field in models.items()}
    return None


def _is_class(annotation: Any) -> bool:
    # Of Python 3.10, `list[int]` is a type too.
    return isinstance(annotation, type) and get_origin(annotation) is None


def annotation_of_mapping(annotation: Any) -> Any:
    """The part of a type that a dictionary of the user's can be; None where there is none."""
    annotation = bare(annotation)
    if get_origin(annotation) in (Union, types.UnionType):
        return next(filter(None, map(annotation_of_mapping, get_args(annotation))), None)
    kind = get_origin(annotation) or annotation
    mapping = _is_class(kind) and issubclass(kind, Mapping)
    return (
        annotation if mapping or annotation is Any or annotation is object or fields(annotation) is not None else None
    )


def _inner(annotation: Any, key: str) -> Any:
    """The type of what stands under a key."""
    names = fields(annotation)
    if names is not None:
        return names[key][0] if key in names else Any
    args = get_args(annotation)
    return args[1] if len(args) == 2 else Any


def bare(annotation: Any) -> Any:
    """A type without what ``Annotated`` says of it."""
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _enum(annotation: Any) -> type[Enum] | None:
    """The enum that an input is of, or may be of."""
    annotation = bare(annotation)
    if get_origin(annotation) in (Union, types.UnionType):
        return next(filter(None, map(_enum, get_args(annotation))), None)
    return annotation if _is_class(annotation) and issubclass(annotation, Enum) else None


def fits(value: Choice, annotation: Any) -> bool:
    """Whether an input of a type takes a suggested value: an int is a float too, but a bool is no number."""
    annotation = bare(annotation)
    if get_origin(annotation) in (Union, types.UnionType):
        return any(fits(value, a) for a in get_args(annotation))
    if get_origin(annotation) is Literal:
        return any(value == a and type(value) is type(a) for a in get_args(annotation))
    if _is_class(annotation) and issubclass(annotation, Enum):
        return isinstance(value, annotation) or (type(value) is str and value in annotation.__members__)
    if annotation is float:
        return type(value) in (int, float)
    if annotation is type(None) or annotation is None:
        return value is None
    if annotation in (bool, int, str):
        return type(value) is annotation
    # What a container, a file or a class of the user's could be made of is not for a suggestion to say.
    return annotation is Any and not isinstance(value, Enum)


def fitted(value: Any, annotation: Any) -> Any:
    """``value`` as the annotation has it, where a suggestion, or Flyte's types, know it as something plainer.

    Ints become floats where there are floats alone, for Flyte takes no int for a float; names of an enum become its
    members, and the dictionary of a dataclass or a model becomes one.
    """
    annotation = bare(annotation)
    if get_origin(annotation) in (Union, types.UnionType):
        kinds = get_args(annotation)
        # What is of one of the types already stays as it is.
        if any(isinstance(kind, type) and type(value) is kind for kind in kinds):
            return value
        made = (fitted(value, kind) for kind in kinds)
        return next((each for each in made if each is not value), value)
    if annotation is float and type(value) is int:
        return float(value)
    if _is_class(annotation) and issubclass(annotation, Enum) and type(value) is str:
        return annotation.__members__.get(value, value)
    if isinstance(value, dict):
        names = fields(annotation)
        made_of = {key: fitted(inner, _inner(annotation, key)) for key, inner in value.items()}
        if names is not None:
            return annotation(**made_of)
        return made_of if get_origin(annotation) is dict else value
    return value
