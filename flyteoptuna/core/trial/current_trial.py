"""The trial that an objective runs for, as the objective sees it."""

from __future__ import annotations

import json
import math
import os
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NoReturn

from flyteoptuna.core.plain_values import TooLargeError, encoded, said, shown

OWN = "flyteoptuna:"
"""What the names of the library's own attributes begin with."""


class ActiveTrial:
    """The trial that an objective runs for, as ``current_trial()`` returns it: ``optuna.Trial``, as far as it goes.

    It suggests nothing, for its parameters were suggested before it ran, and belongs to the process of its objective,
    whose threads may all use it.

    Attributes:
        number: the trial's number in its study; -1 outside a search.
    """

    def __init__(
        self,
        number: int = -1,
        params: Mapping[str, Any] | None = None,
        decide: Callable[[ActiveTrial], bool] | None = None,
        *,
        n_objectives: int = 1,
        study: Any = None,
    ) -> None:
        self.number = number
        self._params = dict(params or {})
        self._decide = decide
        self._n_objectives = n_objectives
        self._study = study
        self._process = os.getpid()
        self._ended = False
        self._intermediate: dict[int, float] = {}
        # As JSON, so that what is changed later changes nothing; None for what no report has room for.
        self._user_attrs: dict[str, str | None] = {}
        self._system_attrs: dict[str, Any] = {}

    @property
    def params(self) -> dict[str, Any]:
        """The suggested parameters by their dotted paths; empty outside a search."""
        return dict(self._params)

    @property
    def user_attrs(self) -> dict[str, Any]:
        """The user attributes that have been set."""
        return {key: json.loads(text) for key, text in self._user_attrs.items() if text is not None}

    @property
    def intermediate(self) -> dict[int, float]:
        """The intermediate values that have been reported, by their steps."""
        return dict(self._intermediate)

    @property
    def system_attrs(self) -> dict[str, Any]:
        """What Optuna keeps with the trial: its constraints, and what a pruner has noted."""
        return dict(self._system_attrs)

    @property
    def study(self) -> Any:
        """What a trial knows of its study: ``direction`` and ``directions``, as those of ``optuna.Study``."""
        if self._study is None:
            raise RuntimeError("There is no study outside a search.")
        return self._study

    def report(self, value: float, step: int) -> None:
        """Report an intermediate value, as ``optuna.Trial.report`` does.

        Args:
            value: anything that ``float`` takes.
            step: anything that ``int`` takes, from 0 to 2**63. One that has been reported keeps its first value.

        Raises:
            TypeError: ``value`` or ``step`` is no number.
            ValueError: ``step`` is negative, or has more than 63 bits.
            NotImplementedError: the study has several objectives.
        """
        self._one_objective("report")
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise TypeError(f"`value` must be a number, but got {shown(value)} ({type(value).__name__}).") from None
        try:
            at = int(step)
        except (TypeError, ValueError):
            raise TypeError(f"`step` must be an int, but got {shown(step)} ({type(step).__name__}).") from None
        if not 0 <= at < 2**63:
            raise ValueError(f"`0 <= step < 2**63` must hold, but got step={shown(at)}.")
        self._write()
        if at in self._intermediate:
            warnings.warn(f"The value of step {at} was reported before, and stays as it was.", stacklevel=2)
            return
        self._intermediate[at] = number

    def should_prune(self) -> bool:
        """Whether the study's pruner would end this trial now; False outside a search.

        The pruner sees the other trials as they were when this trial's batch was asked.

        Raises:
            NotImplementedError: the study has several objectives.
        """
        self._one_objective("should_prune")
        self._write()
        return self._decide is not None and self._decide(self)

    def set_user_attr(self, key: str, value: Any) -> None:
        """Keep ``value`` as a user attribute of the trial, as it is now: what is changed in it later is not kept.

        Args:
            key: its name.
            value: anything that JSON can hold, in at most 100 levels, or a numpy scalar.

        Raises:
            TypeError: JSON cannot hold the value.
            ValueError: the name is one of the library's own.
        """
        if str(key).startswith(OWN):
            raise ValueError(f"The names of user attributes must not begin with `{OWN}`, but got {shown(key)}.")
        self._write()
        try:
            self._user_attrs[str(key)] = encoded(value)
        except TooLargeError:
            self._user_attrs[str(key)] = None
        except TypeError as error:
            raise TypeError(f"The user attribute `{key}` must be something that JSON can hold: {error}.") from None
        except Exception as error:
            # The methods of a dictionary's class may raise what they like.
            raise TypeError(f"The user attribute `{key}` cannot be read: {said(error)}.") from None

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
            raise TypeError(f"A constraint must be a number, but `{key}` is {shown(value)}.") from None
        if math.isnan(number):
            raise ValueError(f"A constraint must not be NaN, but `{key}` is.")
        self._write()
        if f"constraints:{key}" in self._system_attrs:
            warnings.warn(f"The constraint `{key}` was set before, and stays as it was.", stacklevel=2)
            return
        self._system_attrs[f"constraints:{key}"] = number

    def keep(self, system_attrs: Mapping[str, Any]) -> None:
        """Keep what a pruner keeps with the trial.

        Raises:
            TypeError: JSON cannot hold it.
        """
        for key, value in system_attrs.items():
            try:
                self._system_attrs[key] = json.loads(encoded(value))
            except Exception as error:
                raise TypeError(
                    f"What a pruner keeps with a trial must be something that JSON can hold, but `{key}` is "
                    f"{shown(value)} ({said(error)})."
                ) from None

    def ended(self) -> tuple[dict[int, float], dict[str, str | None], dict[str, Any]]:
        """End the trial: its intermediate values, its user attributes as JSON, and its system attributes."""
        self._ended = True
        # Each copy is one step to the threads that may still run.
        return dict(self._intermediate), dict(self._user_attrs), dict(self._system_attrs)

    def _one_objective(self, name: str) -> None:
        if self._n_objectives > 1:
            raise NotImplementedError(f"Trial.{name} is not supported for multi-objective optimization.")

    def _write(self) -> None:
        if self._ended:
            raise RuntimeError(f"Trial {self.number} has ended, and its report was sent.")
        if self.number >= 0 and os.getpid() != self._process:
            raise RuntimeError(
                f"Trial {self.number} belongs to the process of its objective, and this is another: hand back what is "
                "to be kept, and keep it there."
            )

    def __copy__(self) -> ActiveTrial:
        return self

    def __deepcopy__(self, memo: Any) -> ActiveTrial:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"Trial {self.number} belongs to the process of its objective, and cannot be pickled.")

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("suggest_"):
            raise AttributeError(
                f"A trial that runs has its parameters in `params`, and no `{name}`: suggestions stand where a search "
                "is called, as in `optimizer(x=suggest.float(0, 1))`, or in a callback, which has a parameter `trial`."
            )
        known = ", ".join(sorted(key for key in dir(type(self)) if not key.startswith("_")))
        raise AttributeError(f"A trial that runs has no `{name}`; it has: number, {known}.")


_current: ContextVar[ActiveTrial | None] = ContextVar("flyteoptuna_trial", default=None)
_all: list[ActiveTrial] = []
_lock = threading.Lock()


def current_trial() -> ActiveTrial:
    """The trial that the running objective was called for; outside a search, a stand-in that does nothing.

    Every thread of the objective's process finds it: its own, those that a copy of its context reaches, and, while
    one trial runs in the process, any other.

    Raises:
        RuntimeError: several trials run in this process, and nothing tells which of them this thread works for.
    """
    found = _current.get()
    if found is not None:
        return found
    running = list(_all)
    if len(running) > 1:
        raise RuntimeError(
            f"Trials {', '.join(str(trial.number) for trial in running)} run in this process, and this thread belongs "
            "to none of them: call `current_trial()` in the objective's own thread, and hand the trial to the others."
        )
    return running[0] if running else ActiveTrial()


@contextmanager
def running(active: ActiveTrial) -> Iterator[None]:
    """In the body, :func:`current_trial` is ``active``."""
    token = _current.set(active)
    with _lock:
        _all.append(active)
    try:
        yield
    finally:
        with _lock:
            _all[:] = [each for each in _all if each is not active]
        _current.reset(token)
