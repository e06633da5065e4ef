"""What a user writes in place of an input: ``suggest.float``, ``suggest.integer``, ``suggest.category``."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import NoReturn

from flyteoptuna.core import refusal_words, suggestions
from flyteoptuna.core.suggestions import Category, Choice, Float, Integer

__all__ = ["category", "float", "integer"]

_FLOAT, _INTEGER, _CATEGORY = "suggest.float(low, high)", "suggest.integer(low, high)", "suggest.category(choices)"
_LOG, _STEP = "suggest.float(low, high, log=True)", "suggest.float(low, high, step=q)"
_OTHERS = {
    **dict.fromkeys(("uniform", "double", "real", "suggest_float", "suggest_uniform", "Float"), _FLOAT),
    **dict.fromkeys(("int", "randint", "suggest_int", "Integer"), _INTEGER),
    **dict.fromkeys(("categorical", "choice", "choices", "suggest_categorical", "Category"), _CATEGORY),
    **dict.fromkeys(("loguniform", "log_uniform", "logfloat", "suggest_loguniform"), _LOG),
    **dict.fromkeys(("discrete_uniform", "quniform", "suggest_discrete_uniform"), _STEP),
    **dict.fromkeys(("lograndint", "log_int"), "suggest.integer(low, high, log=True)"),
    **dict.fromkeys(("bool", "boolean"), "suggest.category([True, False])"),
    "enum": "suggest.category(list(Kind))",
}
"""What suggestions are named elsewhere, and what to write."""


def float(low: builtins.float, high: builtins.float, step: builtins.float | None = None, log: bool = False) -> Float:
    """Suggest a float between ``low`` and ``high``, both included.

    Args:
        low: the least value; above 0 where ``log`` is set.
        high: the greatest value, at least ``low``.
        step: the distance between values, above 0; None (the default) for a continuous range.
        log: draw from the logarithmic domain. Cannot be combined with ``step``.

    Raises:
        SpaceError: a bound is not a finite number, or a rule above is broken.
    """
    return Float(low, high, step, log)


def integer(low: int, high: int, step: int = 1, log: bool = False) -> Integer:
    """Suggest an int between ``low`` and ``high``, both included.

    Args:
        low: the least value; at least 1 where ``log`` is set.
        high: the greatest value, at least ``low``.
        step: the distance between values, above 0; 1 by default.
        log: draw from the logarithmic domain. Cannot be combined with a ``step`` other than 1.

    Raises:
        SpaceError: a bound is not an int, or a rule above is broken.
    """
    return Integer(low, high, step, log)


def category(choices: Sequence[Choice]) -> Category:
    """Suggest one of ``choices``: None, bools, ints, floats, strings or members of an enum, at least one.

    An enum is suggested by its members, ``list(Kind)``, or by their names, for an input of its type. The study knows
    the names, and the objective gets the member.

    Raises:
        SpaceError: there is no choice, or one is of another type.
    """
    return Category(suggestions.choices(choices))


def __dir__() -> list[str]:
    return [*__all__]


def __getattr__(name: str) -> NoReturn:
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    hint = f" Write {_OTHERS[name]}." if name in _OTHERS else refusal_words.meant(name, __all__)
    raise AttributeError(
        f"There is no suggest.{name}; there are suggest.float, suggest.integer, suggest.category.{hint}"
    )
