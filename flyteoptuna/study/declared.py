"""Whether a space may go on with a study: a parameter keeps its kind of distribution, and its choices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    check_distribution_compatibility,
)

from flyteoptuna.core import space
from flyteoptuna.core.suggestions import Choice, SpaceError
from flyteoptuna.storage import memory
from flyteoptuna.study import ask


class _Declares:
    """Takes a suggestion as a trial does, and declares its distribution instead of drawing."""

    def __init__(self) -> None:
        self.distributions: dict[str, BaseDistribution] = {}

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None, log: bool) -> float:
        self.distributions[name] = FloatDistribution(low, high, log=log, step=step)
        return low

    def suggest_int(self, name: str, low: int, high: int, *, step: int, log: bool) -> int:
        self.distributions[name] = IntDistribution(low, high, log=log, step=step)
        return low

    def suggest_categorical(self, name: str, choices: Sequence[Choice]) -> Choice:
        self.distributions[name] = CategoricalDistribution(choices)
        return choices[0]


def check(study: optuna.Study, inputs: Mapping[str, Any]) -> None:
    """Refuse a space that contradicts a study.

    Args:
        study: the study, in memory.
        inputs: the inputs with their suggestions.

    Raises:
        SpaceError: the study knows one of its parameters by a distribution that optuna does not let it change.
    """
    declares = _Declares()
    for name, suggestion in space.suggestions(inputs):
        ask.draw(declares, name, suggestion)
    known = memory.declared(study)
    for name, distribution in declares.distributions.items():
        if name not in known:
            continue
        try:
            check_distribution_compatibility(known[name], distribution)
        except ValueError as error:
            raise SpaceError(
                f"Parameter `{name}` was {known[name]} in the study, and cannot be {distribution} now: {error} Give it "
                "another name, or begin a new study."
            ) from None
