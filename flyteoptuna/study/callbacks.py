"""Call Optuna's callbacks, and warn of one that changes variables outside it."""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from flyteoptuna.logs import logger

# Maximum number of items of a list, dictionary or set that are compared.
MAX_ITEMS = 100

# Functions whose warning has been logged.
_warned: weakref.WeakSet[Any] = weakref.WeakSet()


def call_callback(callback: Callable[..., None], study: optuna.Study, trial: FrozenTrial) -> None:
    """Call a callback; warn, once, if it is a function that changes variables outside it.

    A search calls copies of callbacks, so its caller would look at those variables in vain. The state of an object
    travels with it, and is no reason for a warning.
    """
    before = _outer_state(callback)
    callback(study, trial)
    if _outer_state(callback) != before and callback not in _warned:
        _warned.add(callback)
        logger.warning(
            "The callback `%s` changes a variable outside it. A search calls copies of callbacks, also in other "
            "processes, so such a change may be lost. Keep it in the study: study.set_user_attr(name, value).",
            getattr(callback, "__name__", "?"),
        )


def _outer_state(callback: Callable[..., None]) -> list[Any]:
    """Identities of the variables outside a function that it uses, and of the items of those that are collections."""
    state: list[Any] = []
    # A variable of the surrounding function may be unbound.
    with suppress(TypeError, ValueError):
        variables = inspect.getclosurevars(callback)
        for value in (*variables.nonlocals.values(), *variables.globals.values()):
            state.append(id(value))
            if isinstance(value, (list, dict, set)):
                items = value.values() if isinstance(value, dict) else value
                state += [len(value), *map(id, islice(items, MAX_ITEMS))]
    return state
