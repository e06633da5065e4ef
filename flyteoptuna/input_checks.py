"""The inputs that an ``Optimizer`` is called with: bound to their names, and the suggestions among them checked."""

from __future__ import annotations

import dis
import inspect
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import Any

from flytekit.core.promise import Promise

from flyteoptuna.core import space
from flyteoptuna.core.annotations import check_input
from flyteoptuna.core.plain_values import plain
from flyteoptuna.core.refusal_words import listed, meant
from flyteoptuna.core.suggestions import SpaceError, is_suggestion
from flyteoptuna.flyte import objective as objectives
from flyteoptuna.flyte import promises
from flyteoptuna.setting_checks import ELSEWHERE


def refuse_await(caller: FrameType) -> None:
    """Refuse an ``await`` before what is called, which Python itself would refuse once the search has run.

    Args:
        caller: the frame that calls an optimizer.

    Raises:
        TypeError: it awaits what the call returns.
    """
    if not caller.f_code.co_flags & (inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR):
        return
    after = (each.opname for each in dis.get_instructions(caller.f_code) if each.offset > caller.f_lasti)
    if next(after, "") == "GET_AWAITABLE":
        raise TypeError(
            "A search cannot be awaited, for its call runs it, but got `await optimizer(...)`. Drop the `await`; "
            "for a workflow, write `@workflow` and `def`."
        )


def bound(origin: Any, args: Sequence[Any], inputs: Mapping[str, Any], settings: Sequence[str]) -> dict[str, Any]:
    """All inputs of an objective or a callback by name: the given ones, and the defaults of the others.

    Raises:
        TypeError: one is unknown, missing or given twice, or a callback is decorated by what is no decorator.
    """
    known = objectives.input_types(origin)
    name = objectives.name_of(origin)
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
    completed = objectives.completed(origin, name, known, {**positional, **inputs})
    return {key: plain(value) for key, value in completed.items()}


def _no_input(key: str, name: str, known: Mapping[str, Any], settings: Sequence[str]) -> str:
    hint = meant(key, known)
    if key in settings:
        hint = f" It is a setting: write Optimizer(..., {key}=...)."
    elif key in ELSEWHERE:
        hint = f" As a setting, `{key}` {ELSEWHERE[key]}."
    return f"{name} has no input `{key}`; it has: {listed(known)}.{hint}"


def check_space(origin: Any, inputs: Mapping[str, Any]) -> None:
    """Check the inputs of a search against the types of the objective or the callback.

    Raises:
        SpaceError: a suggestion stands where none can be, or could suggest what its input does not take.
    """
    types = objectives.input_types(origin)
    suggests = objectives.is_task(origin)
    for name, value in inputs.items():
        if not suggests and space.has_suggestion(value, name):
            raise SpaceError(
                f"A callback suggests by its trial, and its inputs are fixed, but `{name}` holds a suggestion: write "
                f"trial.suggest_...({name!r}, ...) in the callback."
            )
        if not isinstance(value, Promise):
            check_input(value, types[name], name)
    varied = {name: value for name, value in inputs.items() if space.has_suggestion(value, name)}
    if suggests and not varied:
        raise SpaceError(
            "At least one input must hold a suggestion, as suggest.float(low, high), but none does of: "
            f"{listed(inputs)}."
        )
    seen: set[str] = set()
    for name, value in varied.items():
        for path, leaf in space.leaves(value, name):
            if promises.anywhere(leaf):
                raise SpaceError(
                    f"A promise cannot stand beside suggestions, but `{path}` is or holds one. Give it as an input of "
                    "its own."
                )
            if is_suggestion(leaf):
                if path in seen:
                    raise SpaceError(f"Each suggestion must have a name of its own, but two are named `{path}`.")
                seen.add(path)
