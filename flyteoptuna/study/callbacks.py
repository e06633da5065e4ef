"""Call Optuna's callbacks, and warn of one that changes variables outside it."""

from __future__ import annotations

import functools
import inspect
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import chain, islice
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from flyteoptuna.logs import logger

# Maximum number of items of a list, dictionary or set that are compared.
MAX_ITEMS = 100

# Functions whose warning has been logged.
_warned: weakref.WeakSet[Any] = weakref.WeakSet()


def call_callback(callback: Callable[..., None], study: optuna.Study, trial: FrozenTrial) -> None:
    """Call a callback; warn, once, if its function changes variables outside it.

    A search calls copies of callbacks, so its caller would look at those variables in vain. The state of an object
    travels with it, as do the arguments of a partial, and is no reason for a warning. The attributes of its class, and
    the defaults and attributes of a function, stay behind.
    """
    function, owner = _function_of(callback)
    before = _outer_state(function, owner)
    callback(study, trial)
    if _outer_state(function, owner) != before and function not in _warned:
        _warned.add(function)
        logger.warning(
            "The callback `%s` changes a variable outside it. A search calls copies of callbacks, also in other "
            "processes, so such a change may be lost. Keep it in the study: study.set_user_attr(name, value).",
            function.__qualname__.rpartition("<locals>.")[2],
        )


def _function_of(callback: Any) -> tuple[Any, Any]:
    """The function that a callback calls, and the object that it is a method of, or None."""
    while isinstance(callback, functools.partial):
        callback = callback.func
    method = callback if inspect.isroutine(callback) else callback.__call__
    return getattr(method, "__func__", method), getattr(method, "__self__", None)


def _outer_state(function: Any, owner: Any) -> list[Any]:
    """Identities of the variables outside a function that it uses, and of the items of those that are collections."""
    state: list[Any] = []
    # A built-in function has no variables, and one of the surrounding function may be unbound.
    with suppress(TypeError, ValueError):
        variables = inspect.getclosurevars(function)
        kept = (function.__kwdefaults__ or {}, vars(function), {} if owner is None else vars(type(owner)))
        scopes = (variables.nonlocals, variables.globals, *kept)
        for value in chain(function.__defaults__ or (), *(scope.values() for scope in scopes)):
            state.append(id(value))
            if isinstance(value, (list, dict, set, deque)):
                items = value.values() if isinstance(value, dict) else value
                state += [len(value), *map(id, islice(items, MAX_ITEMS))]
    return state
