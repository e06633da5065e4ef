"""``current_trial()``: the trial that an objective runs for, as the objective sees it."""

from __future__ import annotations

import json
import math
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from flyteoptuna.values.did_you_mean import value_and_type
from flyteoptuna.values.json_values import JsonTooLongError, to_json
from flyteoptuna.values.numbers import MAX_INT, to_float
from flyteoptuna.values.text import exception_line, safe_repr
from flyteoptuna.values.tracebacks import public

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

# Prefix of the names of the library's own attributes.
ATTRIBUTE_PREFIX = "flyteoptuna:"


@public
class ActiveTrial:
    """The running trial, as ``current_trial()`` returns it: the methods of ``optuna.Trial`` except ``suggest_...``.

    Its parameters were suggested before it started. All threads of the objective's process may use it; other processes
    may not.

    Attributes:
        number: number of the trial in its study; -1 outside a search.
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
        # As JSON, so that later changes of a value have no effect; None for a value too large for any report.
        self._user_attrs: dict[str, str | None] = {}
        self._system_attrs: dict[str, Any] = {}

    @property
    def params(self) -> dict[str, Any]:
        """Suggested parameters by dotted path; empty outside a search."""
        return dict(self._params)

    @property
    def user_attrs(self) -> dict[str, Any]:
        """User attributes set so far."""
        return {key: json.loads(text) for key, text in self._user_attrs.items() if text is not None}

    @property
    def intermediate(self) -> dict[int, float]:
        """Intermediate values reported so far, by step."""
        return dict(self._intermediate)

    @property
    def system_attrs(self) -> dict[str, Any]:
        """Optuna's own attributes of the trial: its constraints and a pruner's state."""
        return dict(self._system_attrs)

    @property
    def study(self) -> Any:
        """Stand-in for the study: ``direction`` and ``directions`` only."""
        if self._study is None:
            raise RuntimeError("There is no study outside a search.")
        return self._study

    def report(self, value: float, step: int) -> None:
        """Report an intermediate value, like ``optuna.Trial.report``.

        Args:
            value: a number, or an object that ``float`` accepts.
            step: at least 0 and below 2**63, or an object that ``int`` accepts. A step keeps its first value.

        Raises:
            TypeError: ``value`` or ``step`` is not a number.
            ValueError: ``value`` or ``step`` is out of range.
            NotImplementedError: the study has several objectives.
        """
        self._require_one_objective("report")
        number = to_float("value", value)
        try:
            at = int(step)
        except (TypeError, ValueError, OverflowError):
            raise TypeError(f"`step` must be an int, but got {value_and_type(step)}.") from None
        if not 0 <= at <= MAX_INT:
            raise ValueError(f"`0 <= step < 2**63` must hold, but got step={safe_repr(at)}.")
        self._require_open()
        if at in self._intermediate:
            warnings.warn(f"The value of step {at} was reported before, and stays as it was.", stacklevel=3)
            return
        self._intermediate[at] = number

    def should_prune(self) -> bool:
        """Test whether the study's pruner would stop this trial now; False outside a search.

        The pruner compares with the other trials as they were when this trial's batch was asked.

        Raises:
            NotImplementedError: the study has several objectives.
        """
        self._require_one_objective("should_prune")
        self._require_open()
        return self._decide is not None and self._decide(self)

    def set_user_attr(self, key: str, value: Any) -> None:
        """Set a user attribute of the trial, like ``optuna.Trial.set_user_attr``.

        Args:
            key: name of the attribute; must not begin with ``flyteoptuna:``.
            value: a numpy scalar, or a value that JSON can hold, nested at most 100 levels deep. It is copied: later
                changes have no effect.

        Raises:
            TypeError: JSON cannot hold the value.
            ValueError: the name begins with ``flyteoptuna:``.
        """
        if str(key).startswith(ATTRIBUTE_PREFIX):
            raise ValueError(
                f"The names of user attributes must not begin with `{ATTRIBUTE_PREFIX}`, but got {safe_repr(key)}."
            )
        self._require_open()
        try:
            self._user_attrs[str(key)] = to_json(value)
        except JsonTooLongError:
            self._user_attrs[str(key)] = None
        except TypeError as error:
            raise TypeError(f"The user attribute `{key}` must be something that JSON can hold: {error}.") from None
        except Exception as error:
            # The methods of a dictionary's class may raise anything.
            raise TypeError(f"The user attribute `{key}` cannot be read: {exception_line(error)}.") from None

    def set_constraint(self, key: str, value: float) -> None:
        """Set the value of a constraint, like ``optuna.Trial.set_constraint`` of Optuna 5.

        Args:
            key: name of the constraint.
            value: above 0 where the constraint is violated. A constraint keeps its first value.

        Raises:
            TypeError: ``value`` is not a number.
            ValueError: ``value`` is NaN, or beyond the range of floats.
        """
        number = to_float(f"constraint {key}", value)
        if math.isnan(number):
            raise ValueError(f"`constraint {key}` must not be NaN.")
        self._require_open()
        if f"constraints:{key}" in self._system_attrs:
            warnings.warn(f"The constraint `{key}` was set before, and stays as it was.", stacklevel=3)
            return
        self._system_attrs[f"constraints:{key}"] = number

    def set_system_attrs(self, system_attrs: Mapping[str, Any]) -> None:
        """Set a pruner's attributes of the trial; raises ``TypeError`` where JSON cannot hold one."""
        for key, value in system_attrs.items():
            try:
                self._system_attrs[key] = json.loads(to_json(value))
            except Exception as error:
                raise TypeError(
                    f"What a pruner keeps with a trial must be something that JSON can hold, but `{key}` is "
                    f"{safe_repr(value)} ({exception_line(error)})."
                ) from None

    def add_missing_records(
        self, intermediate: Mapping[int, float], user_attrs: Mapping[str, str | None], system_attrs: Mapping[str, Any]
    ) -> None:
        """Add records of another process of the trial, user attributes as JSON, and keep those that the trial has."""
        _add_missing(self._intermediate, intermediate)
        _add_missing(self._user_attrs, user_attrs)
        _add_missing(self._system_attrs, system_attrs)

    def close(self) -> tuple[dict[int, float], dict[str, str | None], dict[str, Any]]:
        """End the trial; returns its intermediate values, its user attributes as JSON, and its system attributes."""
        self._ended = True
        # Each copy is atomic with respect to threads that are still running.
        return dict(self._intermediate), dict(self._user_attrs), dict(self._system_attrs)

    def _require_one_objective(self, name: str) -> None:
        if self._n_objectives > 1:
            raise NotImplementedError(f"Trial.{name} is not supported for multi-objective optimization.")

    def _require_open(self) -> None:
        if self._ended:
            raise RuntimeError(f"Trial {self.number} has ended, and its report was sent.")
        if self.number >= 0 and not _is_own_process(self):
            raise RuntimeError(
                f"Trial {self.number} belongs to the process of its objective, and this is another: hand back what is "
                "to be kept, and keep it there."
            )

    def __deepcopy__(self, memo: Any = None) -> ActiveTrial:
        return self

    __copy__ = __deepcopy__

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"Trial {self.number} belongs to the process of its objective, and cannot be pickled.")

    # Hidden from type checkers, so that they report unknown attributes.
    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            if name.startswith("suggest_"):
                raise AttributeError(
                    f"A trial that runs has its parameters in `params`, and no `{name}`: suggestions stand where a "
                    "search is called, as in `optimizer(x=suggest.float(0, 1))`, or in a callback, which has a "
                    "parameter `trial`."
                )
            known = ", ".join(sorted(key for key in dir(type(self)) if not key.startswith("_")))
            raise AttributeError(f"A trial that runs has no `{name}`; it has: number, {known}.")


_current_trial: ContextVar[ActiveTrial | None] = ContextVar("flyteoptuna_trial", default=None)
_active_trials: list[ActiveTrial] = []


@public
def current_trial() -> ActiveTrial:
    """The trial that the objective runs for; outside a search, a stand-in that records but never prunes.

    Works in the objective's thread, in threads with a copy of its context, and, while the process runs a single trial,
    in any other thread.

    Raises:
        RuntimeError: the process runs several trials, and this thread belongs to none of them.

    >>> trial = current_trial()
    >>> for epoch, loss in enumerate([0.5, 0.25]):
    ...     trial.report(loss, epoch)
    ...     if trial.should_prune():
    ...         raise optuna.TrialPruned
    >>> trial.intermediate
    {0: 0.5, 1: 0.25}
    """
    own = _current_trial.get()
    if own is not None:
        return own
    running = list(_active_trials)
    # A process that was forked has those of its parent too.
    running = [*filter(_is_own_process, running)] or running
    if len(running) > 1:
        raise RuntimeError(
            f"Trials {', '.join(str(trial.number) for trial in running)} run in this process, and this thread belongs "
            "to none of them: call `current_trial()` in the objective's own thread, and hand the trial to the others."
        )
    return running[0] if running else ActiveTrial()


def _is_own_process(active: ActiveTrial) -> bool:
    return os.getpid() == active._process


def _add_missing(known: dict[_Key, _Value], added: Mapping[_Key, _Value]) -> None:
    known.update({key: value for key, value in added.items() if key not in known})


@contextmanager
def activate(active: ActiveTrial) -> Iterator[None]:
    """Make ``current_trial()`` return ``active`` in the body."""
    token = _current_trial.set(active)
    _active_trials.append(active)
    try:
        yield
    finally:
        _active_trials.remove(active)
        _current_trial.reset(token)
