"""The trial that an objective runs for, as the objective sees it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any


class ActiveTrial:
    """The trial that an objective runs for, as ``current_trial()`` returns it.

    Attributes:
        number: the trial's number in its study; -1 outside a search.
        params: the suggested parameters by their dotted paths; empty outside a search.
    """

    def __init__(
        self,
        number: int = -1,
        params: Mapping[str, Any] | None = None,
        decide: Callable[[ActiveTrial], bool] | None = None,
    ) -> None:
        self.number = number
        self.params: dict[str, Any] = dict(params or {})
        self.intermediate: dict[int, float] = {}
        self.user_attrs: dict[str, Any] = {}
        self.system_attrs: dict[str, Any] = {}
        self._decide = decide

    def report(self, value: float, step: int) -> None:
        """Report an intermediate value, as ``optuna.Trial.report`` does. A step reported twice keeps its first value.

        Raises:
            TypeError: ``value`` is no number, or ``step`` is no int.
            ValueError: ``step`` is negative, or has more than 63 bits.
        """
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise TypeError(f"`value` must be a number, but got {value!r} ({type(value).__name__}).") from None
        if isinstance(step, bool) or not isinstance(step, int):
            raise TypeError(f"`step` must be an int, but got {step!r} ({type(step).__name__}).")
        if not 0 <= step < 2**63:
            raise ValueError(f"`0 <= step < 2**63` must hold, but got step={step}.")
        self.intermediate.setdefault(step, number)

    def should_prune(self) -> bool:
        """Whether the study's pruner would end this trial now; False outside a search.

        The pruner sees the other trials as they were when this trial's batch was asked.
        """
        return self._decide is not None and self._decide(self)

    def set_user_attr(self, key: str, value: Any) -> None:
        """Keep ``value``, anything that JSON can hold, as a user attribute of the trial.

        Raises:
            TypeError: JSON cannot hold the value.
        """
        try:
            json.dumps(value)
        except (TypeError, ValueError) as error:
            raise TypeError(f"The user attribute `{key}` must be something that JSON can hold: {error}.") from None
        self.user_attrs[str(key)] = value

    def set_constraint(self, key: str, value: float) -> None:
        """Keep the value of a constraint, which is broken above 0, as ``optuna.Trial.set_constraint`` of optuna 5 does.

        A constraint that is set twice keeps its first value.

        Raises:
            TypeError: ``value`` is no number.
            ValueError: ``value`` is NaN.
        """
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise TypeError(f"A constraint must be a number, but `{key}` is {value!r}.") from None
        if math.isnan(number):
            raise ValueError(f"A constraint must not be NaN, but `{key}` is.")
        self.system_attrs.setdefault(f"constraints:{key}", number)


_current: ContextVar[ActiveTrial | None] = ContextVar("flyteoptuna_trial", default=None)


def current_trial() -> ActiveTrial:
    """The trial that the running objective was called for; outside a search, a stand-in that does nothing."""
    return _current.get() or ActiveTrial()


@contextmanager
def running(active: ActiveTrial) -> Iterator[None]:
    """In the body, :func:`current_trial` is ``active``."""
    token = _current.set(active)
    try:
        yield
    finally:
        _current.reset(token)
