"""What a user writes in place of an input: a float, an integer or a category, with its rules."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

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


def is_suggestion(value: object) -> bool:
    """Whether a value is a suggestion itself."""
    return isinstance(value, (Float, Integer, Category))


def n_values(suggestion: Suggestion) -> float:
    """Number of different values of a suggestion; infinite for a continuous range."""
    if isinstance(suggestion, Category):
        return len(set(map(repr, suggestion.choices)))
    if suggestion.low == suggestion.high:
        return 1
    if suggestion.step is None:
        return math.inf
    return math.floor((suggestion.high - suggestion.low) / suggestion.step + 1e-9) + 1
