"""Running a callback in a driver, and taking note of the objective's call instead of making it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any

from flytekit.core.context_manager import ExecutionState, FlyteContextManager
from flytekit.utils.asyn import loop_manager


@dataclass(frozen=True)
class ObjectiveCall:
    """What a task returns when a callback calls it: which task, and the inputs by name. It has no value yet."""

    objective: Any
    inputs: Mapping[str, Any]

    def __await__(self) -> Generator[Any, None, ObjectiveCall]:
        # An async callback may await what it calls, as a task of flytekit's eager plugin has to.
        yield from ()
        return self


class _Notebook:
    """Stands where flytekit's eager tasks have the queue that runs the tasks they call."""

    async def add(self, entity: Any, input_kwargs: dict[str, Any]) -> ObjectiveCall:
        return ObjectiveCall(entity, input_kwargs)


def objective_call(callback: Callable[..., Any], trial: Any, fixed: Mapping[str, Any]) -> ObjectiveCall:
    """The call of the objective that a callback, sync or async, returns for a trial.

    Raises:
        TypeError: the callback returns anything else.
    """
    ctx = FlyteContextManager.current_context()
    # In an eager task flytekit hands each call of a task, positional or by keyword, to the worker queue. It is the one
    # way to see a call before its inputs are converted, or bound to a node.
    state = ctx.new_execution_state().with_params(mode=ExecutionState.Mode.EAGER_EXECUTION)
    eager = ctx.with_execution_state(state).with_worker_queue(_Notebook())
    with FlyteContextManager.with_context(eager):
        result = callback(trial=trial, **fixed)
        if inspect.isawaitable(result):
            result = loop_manager.run_sync(_awaited, result)
    if not isinstance(result, ObjectiveCall):
        raise TypeError(
            f"A callback must return what its call of the objective returned, but {callback.__qualname__} returned "
            f"{result!r} ({type(result).__name__})."
        )
    return result


async def _awaited(result: Any) -> Any:
    return await result
