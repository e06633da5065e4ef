"""Suggestions to pass in place of inputs: ``suggest.float``, ``suggest.integer`` and ``suggest.category``."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import NoReturn

from flyteoptuna.space.suggestions import (
    SUGGEST_FUNCTIONS,
    Category,
    Choice,
    Float,
    Integer,
    parse_choices,
    takes_no_name,
)
from flyteoptuna.values.did_you_mean import did_you_mean, names_arguments
from flyteoptuna.values.tracebacks import public

__all__ = ["category", "float", "integer"]

_FLOAT, _INTEGER, _CATEGORY = "suggest.float(low, high)", "suggest.integer(low, high)", "suggest.category(choices)"
_LOG, _STEP = "suggest.float(low, high, log=True)", "suggest.float(low, high, step=q)"
# Names of suggestions in other libraries, and what to write instead.
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


@public
@takes_no_name
@names_arguments
def float(low: builtins.float, high: builtins.float, step: builtins.float | None = None, log: bool = False) -> Float:
    """Suggest a float between ``low`` and ``high``, both included.

    Args:
        low: lower bound; above 0 where ``log`` is True.
        high: upper bound, at least ``low``.
        step: distance between two values, above 0. Default: None, a continuous range.
        log: whether to sample from the logarithmic domain. Cannot be combined with ``step``. Default: False.

    Raises:
        SpaceError: a bound is not a finite number, or an argument breaks one of the rules above.

    >>> from flyteoptuna import suggest
    >>> inputs = {"dropout": suggest.float(0, 0.5, step=0.1), "rate": suggest.float(1e-5, 1e-1, log=True)}
    """
    return Float(low, high, step, log)


@public
@takes_no_name
@names_arguments
def integer(low: int, high: int, step: int = 1, log: bool = False) -> Integer:
    """Suggest an int between ``low`` and ``high``, both included.

    Args:
        low: lower bound; at least 1 where ``log`` is True.
        high: upper bound, at least ``low``.
        step: distance between two values, above 0. Default: 1.
        log: whether to sample from the logarithmic domain. Cannot be combined with a ``step`` other than 1. Default:
            False.

    Raises:
        SpaceError: a bound is not an int, or an argument breaks one of the rules above.

    >>> from flyteoptuna import suggest
    >>> inputs = {"layers": suggest.integer(1, 8), "width": suggest.integer(64, 1024, log=True)}
    """
    return Integer(low, high, step, log)


@public
@takes_no_name
@names_arguments
def category(choices: Sequence[Choice]) -> Category:
    """Suggest one of several choices.

    An input whose type is an enum takes the members, ``list(Kind)``, or their names. The study stores the names; the
    objective gets the member.

    Args:
        choices: at least one; each None, a bool, int, float or string, or a member of an enum.

    Raises:
        SpaceError: there is no choice, or one is of another type.

    >>> from flyteoptuna import suggest
    >>> inputs = {"activation": suggest.category(["relu", "gelu"]), "bias": suggest.category([True, False])}
    """
    return Category(parse_choices(choices))


SUGGEST_FUNCTIONS += [float, integer, category]


def __dir__() -> list[str]:
    return [*__all__]


@public
def __getattr__(name: str) -> NoReturn:
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    hint = f" Write {_OTHERS[name]}." if name in _OTHERS else did_you_mean(name, __all__)
    raise AttributeError(
        f"There is no suggest.{name}; there are suggest.float, suggest.integer, suggest.category.{hint}"
    )
