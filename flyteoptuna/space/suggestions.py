"""Suggestions and their rules: a float, an integer or a category in place of an input."""

from __future__ import annotations

import functools
import inspect
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias, TypeVar, cast

from flyteoptuna.errors import SpaceError
from flyteoptuna.values.did_you_mean import join_names, value_and_type
from flyteoptuna.values.json_values import plain_scalar
from flyteoptuna.values.no_value import NoValue
from flyteoptuna.values.numbers import MAX_INT, MIN_INT
from flyteoptuna.values.text import is_utf8, safe_repr

Choice: TypeAlias = bool | int | float | str | Enum | None
# Functions that make suggestions, and are therefore refused as the value of an input.
SUGGEST_FUNCTIONS: list[Callable[..., Any]] = []

_F = TypeVar("_F", bound=Callable[..., Any])


def _check_number(kind: str, name: str, value: object) -> None:
    integer = kind == "integer"
    if isinstance(value, bool) or not isinstance(value, int if integer else (int, float)):
        # By name, because this layer does not import flytekit.
        later = type(value).__name__.endswith("Promise")
        raise SpaceError(
            f"`{name}` of suggest.{kind} must be {'an int' if integer else 'a number'}, but got "
            f"{value_and_type(value)}."
            + (" What a task or a workflow is given is known to a callback, as an input of its own." if later else "")
        )
    if integer and not _fits_int64(value):
        raise SpaceError(f"Flyte's ints have 64 bits, but `{name}` of suggest.integer is {value_and_type(value)}.")
    # NaN compares False, and ints beyond the range of floats compare exactly.
    if not -sys.float_info.max <= value <= sys.float_info.max:
        raise SpaceError(f"`{name}` of suggest.{kind} must be finite, but got {value_and_type(value)}.")


def _check_range(kind: str, low: float, high: float, step: float | None, log: bool) -> None:
    _check_number(kind, "low", low)
    _check_number(kind, "high", high)
    if not isinstance(log, bool):
        raise SpaceError(f"`log` of suggest.{kind} must be a bool, but got {value_and_type(log)}.")
    if low > high:
        raise SpaceError(f"`low <= high` must hold, but got (low={low}, high={high}).")
    if step is not None or kind == "integer":
        _check_number(kind, "step", step)
        if step is None or step <= 0:
            raise SpaceError(f"`step > 0` must hold, but got step={step}.")
    if log and step not in (None, 1 if kind == "integer" else None):
        raise SpaceError(f"`step` and `log` must not be set together, but got (step={step}, log={log}).")
    if log and low < (1 if kind == "integer" else math.ulp(0.0)):
        raise SpaceError(f"`low > 0` must hold when `log` is set, but got low={low}.")


def _fits_int64(value: float) -> bool:
    return MIN_INT <= value <= MAX_INT


class _Suggestion(NoValue):
    def _stands_for(self) -> str:
        return (
            f"{self!r} has no value where the search is written: pass it as an input or as a leaf of a dictionary, and "
            "compute with the value in the objective, or in a callback with `trial.suggest_...`"
        )

    def __repr__(self) -> str:
        # The call that made it, without defaults.
        given = [f"{v!r}" if k in ("low", "high", "choices") else f"{k}={v!r}" for k, v in vars(self).items()]
        usual = ("step=None", "step=1", "log=False")
        return f"suggest.{type(self).__name__.lower()}({', '.join(part for part in given if part not in usual)})"

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            object.__setattr__(self, name, plain_scalar(value))


@dataclass(frozen=True, repr=False)
class Float(_Suggestion):
    """A float between ``low`` and ``high``, both included."""

    low: float
    high: float
    step: float | None = None
    log: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_range("float", self.low, self.high, self.step, self.log)
        if not math.isfinite(float(self.high) - float(self.low)):
            raise SpaceError(f"`high - low` must be a finite float, but got (low={self.low}, high={self.high}).")


@dataclass(frozen=True, repr=False)
class Integer(_Suggestion):
    """An int between ``low`` and ``high``, both included."""

    low: int
    high: int
    step: int = 1
    log: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_range("integer", self.low, self.high, self.step, self.log)


@dataclass(frozen=True, repr=False)
class Category(_Suggestion):
    """One of ``choices``."""

    choices: tuple[Choice, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "choices", tuple(map(plain_scalar, self.choices)))
        if not self.choices:
            raise SpaceError("`choices` of suggest.category must not be empty, but got ().")
        for choice in self.choices:
            if choice is not None and not isinstance(choice, (bool, int, float, str, Enum)):
                raise SpaceError(
                    f"Each choice of suggest.category must be None, bool, int, float, str or a member of an enum, "
                    f"but got {value_and_type(choice)}. Suggest a name, and let the objective choose by it."
                )
            if isinstance(choice, str) and not is_utf8(choice):
                raise SpaceError(
                    f"Flyte keeps text as UTF-8, but a choice of suggest.category is {value_and_type(choice)}."
                )
            if isinstance(choice, int) and not _fits_int64(choice):
                raise SpaceError(
                    f"Flyte's ints have 64 bits, but a choice of suggest.category is {value_and_type(choice)}."
                )

    def choice_names(self) -> tuple[bool | int | float | str | None, ...]:
        """The choices as Optuna stores them: the names of an enum's members, all others unchanged."""
        return tuple(choice.name if isinstance(choice, Enum) else choice for choice in self.choices)


def takes_no_name(function: _F) -> _F:
    """Decorator: a name as the first argument, or too many arguments, are errors that say what to write."""
    parameters = inspect.signature(function).parameters
    required = {name for name, parameter in parameters.items() if parameter.default is parameter.empty}
    of = f"suggest.{function.__name__}"

    @functools.wraps(function)
    def checked(*args: Any, **given: Any) -> Any:
        name, rest = args[:1], args[1:]
        is_named = len(rest) + len(required & given.keys()) >= len(required) and not isinstance((*rest, 0)[0], str)
        if name and isinstance(name[0], str) and is_named:
            call = ", ".join([*map(safe_repr, rest), *(f"{key}={safe_repr(value)}" for key, value in given.items())])
            raise SpaceError(f"{of} takes no name, but got {safe_repr(name[0])}: the input has it. Write {of}({call}).")
        if len(args) > len(parameters):
            hint = f" Write {of}({safe_repr([*args])})." * (len(parameters) == 1)
            raise TypeError(f"{of} takes {join_names(parameters)}, but got {len(args)} arguments.{hint}")
        return function(*args, **given)

    return cast("_F", checked)


def parse_choices(given: Any) -> tuple[Choice, ...]:
    """Choices from a list, a tuple, a range or a one-dimensional array; raises ``SpaceError`` for other types."""
    rule = "`choices` of suggest.category must be a list or a tuple"
    if isinstance(given, type) and issubclass(given, Enum):
        raise SpaceError(f"{rule}, but got the enum {given.__name__}: write suggest.category(list({given.__name__})).")
    if type(given).__module__.partition(".")[0] in ("numpy", "pandas") and getattr(given, "ndim", 0) == 1:
        given = given.tolist()
    if not isinstance(given, (list, tuple, range)):
        hint = " Its order would differ from process to process." if isinstance(given, (set, frozenset)) else ""
        raise SpaceError(f"{rule}, but got {value_and_type(given)}.{hint}")
    return tuple(given)


Suggestion: TypeAlias = Float | Integer | Category


def is_suggestion(value: object) -> bool:
    """Test whether a value is itself a suggestion."""
    return isinstance(value, _Suggestion)


def can_suggest(suggestion: Any, value: Any) -> bool:
    """Test whether a value is in the range or among the choices of a suggestion or an Optuna distribution."""
    fields = vars(suggestion)
    if "choices" in fields:
        return any(type(choice) is type(value) and repr(choice) == repr(value) for choice in fields["choices"])
    if isinstance(value, (bool, str, type(None))) or not suggestion.low <= value <= suggestion.high:
        return False
    if suggestion.step is None:
        return True
    steps = (value - suggestion.low) / suggestion.step
    return bool(abs(steps - round(steps)) < 1e-6)


def count_values(suggestion: Suggestion) -> float:
    """Number of distinct values of a suggestion; infinite for a continuous range.

    >>> count_values(Integer(0, 10, step=5))
    3
    """
    if isinstance(suggestion, Category):
        return len(set(map(repr, suggestion.choices)))
    if suggestion.low == suggestion.high:
        return 1
    if suggestion.step is None:
        return math.inf
    return math.floor((suggestion.high - suggestion.low) / suggestion.step + 1e-9) + 1
