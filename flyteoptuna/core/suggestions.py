"""What a user writes in place of an input: a float, an integer or a category, with its rules."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias

from flyteoptuna.core.plain_values import plain
from flyteoptuna.core.refusal_words import Valueless, got

Choice: TypeAlias = bool | int | float | str | Enum | None


class SpaceError(ValueError):
    """A suggestion or a space that breaks a rule; the message holds the rule, the values and the dotted path."""


def _number(kind: str, name: str, value: object) -> None:
    allowed: tuple[type, ...] = (int,) if kind == "integer" else (int, float)
    if isinstance(value, bool) or not isinstance(value, allowed):
        # By name, for this layer does not know flytekit.
        later = type(value).__name__.endswith("Promise")
        raise SpaceError(
            f"`{name}` of suggest.{kind} must be {'an int' if kind == 'integer' else 'a number'}, "
            f"but got {got(value)}."
            + (" What a task or a workflow is given is known to a callback, as an input of its own." if later else "")
        )
    try:
        finite = kind == "integer" or math.isfinite(value)  # type: ignore[arg-type]
    except OverflowError:
        finite = False
    if kind == "integer" and not _fits(value):  # type: ignore[arg-type]
        raise SpaceError(f"Flyte's ints have 64 bits, but `{name}` of suggest.integer is {got(value)}.")
    if not finite:
        raise SpaceError(f"`{name}` of suggest.{kind} must be finite, but got {got(value)}.")


def _range(kind: str, low: float, high: float, step: float | None, log: bool) -> None:
    _number(kind, "low", low)
    _number(kind, "high", high)
    if not isinstance(log, bool):
        raise SpaceError(f"`log` of suggest.{kind} must be a bool, but got {got(log)}.")
    if low > high:
        raise SpaceError(f"`low <= high` must hold, but got (low={low}, high={high}).")
    if step is not None or kind == "integer":
        _number(kind, "step", step)
        if step is None or step <= 0:
            raise SpaceError(f"`step > 0` must hold, but got step={step}.")
    if log and step not in (None, 1 if kind == "integer" else None):
        raise SpaceError(f"`step` and `log` must not be set together, but got (step={step}, log={log}).")
    if log and low < (1 if kind == "integer" else math.ulp(0.0)):
        raise SpaceError(f"`low > 0` must hold when `log` is set, but got low={low}.")


def _fits(value: int) -> bool:
    return -(2**63) <= value < 2**63


class _Suggestion(Valueless):
    def _stands_for(self) -> str:
        return (
            f"{self!r} has no value where the search is written: pass it as an input or as a leaf of a dictionary, and "
            "compute with the value in the objective, or in a callback with `trial.suggest_...`"
        )

    def __repr__(self) -> str:
        # As it was written.
        given = [f"{v!r}" if k in ("low", "high", "choices") else f"{k}={v!r}" for k, v in vars(self).items()]
        usual = ("step=None", "step=1", "log=False")
        return f"suggest.{type(self).__name__.lower()}({', '.join(part for part in given if part not in usual)})"

    def _made_plain(self) -> None:
        for name, value in vars(self).items():
            object.__setattr__(self, name, plain(value))


@dataclass(frozen=True, repr=False)
class Float(_Suggestion):
    """A float between ``low`` and ``high``, both included."""

    low: float
    high: float
    step: float | None = None
    log: bool = False

    def __post_init__(self) -> None:
        self._made_plain()
        _range("float", self.low, self.high, self.step, self.log)
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
        self._made_plain()
        _range("integer", self.low, self.high, self.step, self.log)


@dataclass(frozen=True, repr=False)
class Category(_Suggestion):
    """One of ``choices``."""

    choices: tuple[Choice, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "choices", tuple(map(plain, self.choices)))
        if not self.choices:
            raise SpaceError("`choices` of suggest.category must not be empty, but got ().")
        for choice in self.choices:
            if choice is not None and not isinstance(choice, (bool, int, float, str, Enum)):
                raise SpaceError(
                    f"Each choice of suggest.category must be None, bool, int, float, str or a member of an enum, "
                    f"but got {got(choice)}. Suggest a name, and let the objective choose by it."
                )
            if isinstance(choice, int) and not _fits(choice):
                raise SpaceError(f"Flyte's ints have 64 bits, but a choice of suggest.category is {got(choice)}.")

    def named(self) -> tuple[bool | int | float | str | None, ...]:
        """The choices as a study knows them: the members of an enum by their names."""
        return tuple(choice.name if isinstance(choice, Enum) else choice for choice in self.choices)


def choices(given: Any) -> tuple[Choice, ...]:
    """The choices that were given as a list, a tuple, a range or an array of one dimension.

    Raises:
        SpaceError: they were given as anything else.
    """
    rule = "`choices` of suggest.category must be a list or a tuple"
    if isinstance(given, type) and issubclass(given, Enum):
        raise SpaceError(f"{rule}, but got the enum {given.__name__}: write suggest.category(list({given.__name__})).")
    if type(given).__module__.partition(".")[0] in ("numpy", "pandas") and getattr(given, "ndim", 0) == 1:
        given = given.tolist()
    if not isinstance(given, (list, tuple, range)):
        hint = " Its order would differ from process to process." if isinstance(given, (set, frozenset)) else ""
        raise SpaceError(f"{rule}, but got {got(given)}.{hint}")
    return tuple(given)


Suggestion: TypeAlias = Float | Integer | Category


def is_suggestion(value: object) -> bool:
    """Whether a value is a suggestion itself."""
    return isinstance(value, _Suggestion)


def n_values(suggestion: Suggestion) -> float:
    """Number of different values of a suggestion; infinite for a continuous range."""
    if isinstance(suggestion, Category):
        return len(set(map(repr, suggestion.choices)))
    if suggestion.low == suggestion.high:
        return 1
    if suggestion.step is None:
        return math.inf
    return math.floor((suggestion.high - suggestion.low) / suggestion.step + 1e-9) + 1
