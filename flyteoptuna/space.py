"""Suggestions, their dotted paths, and materialising a space of them through a ``draw`` function."""

from __future__ import annotations

import json
import math
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin

Choice: TypeAlias = bool | int | float | str | None


class SpaceError(ValueError):
    """A suggestion or a space that breaks a rule; the message holds the rule, the values and the dotted path."""


def _number(kind: str, name: str, value: object) -> None:
    allowed: tuple[type, ...] = (int,) if kind == "integer" else (int, float)
    if isinstance(value, bool) or not isinstance(value, allowed):
        raise SpaceError(
            f"`{name}` of suggest.{kind} must be {'an int' if kind == 'integer' else 'a number'}, "
            f"but got {value!r} ({type(value).__name__})."
        )
    if isinstance(value, float) and not math.isfinite(value):
        raise SpaceError(f"`{name}` of suggest.{kind} must be finite, but got {value!r}.")


def _range(kind: str, low: float, high: float, step: float | None, log: bool) -> None:
    _number(kind, "low", low)
    _number(kind, "high", high)
    if not isinstance(log, bool):
        raise SpaceError(f"`log` of suggest.{kind} must be a bool, but got {log!r}.")
    if low > high:
        raise SpaceError(f"`low <= high` must hold, but got (low={low}, high={high}).")
    if step is not None:
        _number(kind, "step", step)
        if step <= 0:
            raise SpaceError(f"`step > 0` must hold, but got step={step}.")
    if log and step not in (None, 1 if kind == "integer" else None):
        raise SpaceError(f"`step` and `log` must not be set together, but got (step={step}, log={log}).")
    if log and low < (1 if kind == "integer" else math.ulp(0.0)):
        raise SpaceError(f"`low > 0` must hold when `log` is set, but got low={low}.")


def _fits(value: int) -> bool:
    return -(2**63) <= value < 2**63


@dataclass(frozen=True)
class Float:
    """A float between ``low`` and ``high``, both included."""

    low: float
    high: float
    step: float | None = None
    log: bool = False

    def __post_init__(self) -> None:
        _range("float", self.low, self.high, self.step, self.log)


@dataclass(frozen=True)
class Integer:
    """An int between ``low`` and ``high``, both included."""

    low: int
    high: int
    step: int = 1
    log: bool = False

    def __post_init__(self) -> None:
        _range("integer", self.low, self.high, self.step, self.log)
        if not (_fits(self.low) and _fits(self.high)):
            raise SpaceError(f"Flyte's ints have 64 bits, but got (low={self.low}, high={self.high}).")


@dataclass(frozen=True)
class Category:
    """One of ``choices``."""

    choices: tuple[Choice, ...]

    def __post_init__(self) -> None:
        if not self.choices:
            raise SpaceError("`choices` of suggest.category must not be empty, but got ().")
        for choice in self.choices:
            if choice is not None and not isinstance(choice, (bool, int, float, str)):
                raise SpaceError(
                    f"Each choice of suggest.category must be None, bool, int, float or str, "
                    f"but got {choice!r} ({type(choice).__name__})."
                )
            if isinstance(choice, int) and not _fits(choice):
                raise SpaceError(f"Flyte's ints have 64 bits, but got the choice {choice}.")


Suggestion: TypeAlias = Float | Integer | Category
Draw: TypeAlias = Callable[[str, Suggestion], Any]


def is_suggestion(value: object) -> bool:
    """Whether a value is a suggestion itself."""
    return isinstance(value, (Float, Integer, Category))


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


def size(suggestion: Suggestion) -> float:
    """Number of different values of a suggestion; infinite for a continuous range."""
    if isinstance(suggestion, Category):
        return len(set(map(repr, suggestion.choices)))
    if suggestion.low == suggestion.high:
        return 1
    if suggestion.step is None:
        return math.inf
    return math.floor((suggestion.high - suggestion.low) / suggestion.step + 1e-9) + 1


def check(value: Any, annotation: Any, path: str) -> None:
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
            check(inner, _inner(annotation), f"{path}.{key}")
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
