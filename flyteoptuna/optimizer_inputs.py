"""Inputs of an optimizer's call: bound by name, with their suggestions checked; and a refused ``await``."""

from __future__ import annotations

import dis
import inspect
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import Any

from flytekit.core.promise import Promise

from flyteoptuna.errors import SpaceError
from flyteoptuna.flyte import objective as objectives
from flyteoptuna.flyte import promises
from flyteoptuna.optimizer_settings import ELSEWHERE
from flyteoptuna.space import space
from flyteoptuna.space.annotations import check_input
from flyteoptuna.space.suggestions import is_suggestion
from flyteoptuna.values.did_you_mean import did_you_mean, join_names
from flyteoptuna.values.json_values import plain_scalar


def refuse_await(caller: FrameType) -> None:
    """Refuse ``await optimizer(...)`` before the search runs; Python would refuse it only afterwards.

    Args:
        caller: frame that calls the optimizer.

    Raises:
        TypeError: it awaits the result of the call.
    """
    if not caller.f_code.co_flags & (inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR):
        return
    following = (code.opname for code in dis.get_instructions(caller.f_code) if code.offset > caller.f_lasti)
    if next(following, "") == "GET_AWAITABLE":
        raise TypeError(
            "A search cannot be awaited, for its call runs it, but got `await optimizer(...)`. Drop the `await`; "
            "for a workflow, write `@workflow` and `def`."
        )


def bind_inputs(origin: Any, args: Sequence[Any], inputs: Mapping[str, Any], settings: Sequence[str]) -> dict[str, Any]:
    """All inputs of an objective or a callback by name: the arguments of the call, and defaults.

    Raises:
        TypeError: an input is unknown, missing or given twice, or an optimizer is used as a decorator.
    """
    known = objectives.input_types(origin)
    name = objectives.origin_name(origin)
    if len(args) == 1 and not inputs and inspect.isfunction(args[0]):
        raise TypeError(
            f"An optimizer is called with the inputs of {name}, but got the function {args[0].__qualname__}. To "
            f"decorate a callback, name the task that it calls by `task`: "
            f"@optimize(task={name.rpartition('.')[2]}, ...)."
        )
    if len(args) > len(known):
        raise TypeError(f"{name} takes {len(known)} inputs, but got {len(args)} positional ones.")
    positional = dict(zip(known, args, strict=False))
    for key in inputs:
        if key in positional:
            raise TypeError(f"Input `{key}` of {name} was given twice.")
        if key not in known:
            raise TypeError(_no_input(key, name, known, settings))
    completed = objectives.complete_inputs(origin, name, known, {**positional, **inputs})
    return {key: plain_scalar(value) for key, value in completed.items()}


def _no_input(key: str, name: str, known: Mapping[str, Any], settings: Sequence[str]) -> str:
    hint = did_you_mean(key, known)
    if key in settings:
        hint = f" It is a setting: write Optimizer(..., {key}=...)."
    elif key in ELSEWHERE:
        hint = f" As a setting, `{key}` {ELSEWHERE[key]}."
    return f"{name} has no input `{key}`; it has: {join_names(known)}.{hint}"


def check_suggestions(origin: Any, inputs: Mapping[str, Any]) -> None:
    """Check the inputs of a search against the annotations of the objective or the callback.

    An objective needs at least one suggestion; a callback's inputs may hold none.

    Raises:
        SpaceError: a suggestion is misplaced, shares its name, stands beside a promise, or could suggest a value of a
            wrong type; a fixed input has a wrong type.
    """
    types = objectives.input_types(origin)
    suggests = objectives.is_task(origin)
    for name, value in inputs.items():
        if not suggests and space.contains_suggestion(value, name):
            raise SpaceError(
                f"A callback suggests by its trial, and its inputs are fixed, but `{name}` holds a suggestion: write "
                f"trial.suggest_...({name!r}, ...) in the callback."
            )
        if not isinstance(value, Promise):
            check_input(value, types[name], name)
    varied = {name: value for name, value in inputs.items() if space.contains_suggestion(value, name)}
    if suggests and not varied:
        raise SpaceError(
            "At least one input must hold a suggestion, as suggest.float(low, high), but none does of: "
            f"{join_names(inputs)}."
        )
    seen: set[str] = set()
    for name, value in varied.items():
        for path, leaf in space.iter_leaves(value, name):
            if promises.contains_promise(leaf):
                raise SpaceError(
                    f"A promise cannot stand beside suggestions, but `{path}` is or holds one. Give it as an input of "
                    "its own."
                )
            if is_suggestion(leaf):
                if path in seen:
                    raise SpaceError(f"Each suggestion must have a name of its own, but two are named `{path}`.")
                seen.add(path)
