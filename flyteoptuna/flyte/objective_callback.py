"""Running a callback in a driver, and taking note of the objective's call instead of making it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from flytekit.core.context_manager import ExecutionState, FlyteContextManager
from flytekit.utils.asyn import loop_manager

from flyteoptuna.core.annotations import check_value
from flyteoptuna.core.refusal_words import Valueless, got, listed
from flyteoptuna.flyte.objective import is_task


def _name(task: Any) -> str:
    return str(getattr(task, "name", task))


@dataclass(frozen=True, eq=False, repr=False)
class ObjectiveCall(Valueless):
    """What a task returns when a callback calls it: which task, and the inputs by name. It has no value yet."""

    objective: Any
    inputs: Mapping[str, Any]

    def __await__(self) -> Generator[Any, None, ObjectiveCall]:
        # An async callback may await what it calls, as a task of flytekit's eager plugin has to.
        yield from ()
        return self

    def __repr__(self) -> str:
        return f"{_name(self.objective)}({', '.join(f'{name}={got(value)}' for name, value in self.inputs.items())})"

    def _stands_for(self) -> str:
        return (
            f"A callback must return what {_name(self.objective)} returned as it is, for the task runs later, in a pod "
            "of its own: work on its value belongs into the task"
        )

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise AttributeError(f"{self._stands_for()}, but got `.{name}`.")

    def __eq__(self, other: object) -> bool:
        raise TypeError(f"{self._stands_for()}, but got `==`.")

    __hash__ = object.__hash__


class _Notebook:
    """Stands where flytekit's eager tasks have the queue that runs the tasks they call."""

    def __init__(self) -> None:
        self.calls: list[ObjectiveCall] = []

    async def add(self, entity: Any, input_kwargs: dict[str, Any]) -> ObjectiveCall:
        for name, value in input_kwargs.items():
            if isinstance(value, ObjectiveCall):
                raise TypeError(
                    f"A callback must call the objective alone, but gave {_name(entity)} as `{name}` what "
                    f"{_name(value.objective)} returned, which runs later. What another task makes is an input of the "
                    "callback."
                )
        self.calls.append(ObjectiveCall(entity, input_kwargs))
        return self.calls[-1]


def objective_call(callback: Callable[..., Any], trial: Any, fixed: Mapping[str, Any]) -> ObjectiveCall:
    """The call of the objective that a callback, sync or async, returns for a trial.

    Raises:
        TypeError: the callback returns anything else, or calls more than that.
    """
    ctx = FlyteContextManager.current_context()
    notebook = _Notebook()
    # In an eager task flytekit hands each call of a task, positional or by keyword, to the worker queue. It is the one
    # way to see a call before its inputs are converted, or bound to a node.
    state = ctx.new_execution_state().with_params(mode=ExecutionState.Mode.EAGER_EXECUTION)
    eager = ctx.with_execution_state(state).with_worker_queue(notebook)
    with FlyteContextManager.with_context(eager):
        result = callback(trial=trial, **fixed)
        if inspect.isawaitable(result):
            result = loop_manager.run_sync(_awaited, result)
    _check(callback.__qualname__, result, notebook.calls)
    call: ObjectiveCall = result
    return call


def _check(name: str, result: Any, calls: list[ObjectiveCall]) -> None:
    if not isinstance(result, ObjectiveCall):
        hint = ""
        if result is None and calls:
            hint = f" Write `return {_name(calls[-1].objective).rpartition('.')[2]}(...)`."
        elif isinstance(result, (list, tuple)) and any(isinstance(each, ObjectiveCall) for each in result):
            hint = " A trial is one call: the mean of several belongs into the task."
        elif not calls:
            hint = " It called no task: call the @task itself, and not its function."
        raise TypeError(
            f"A callback must return what its call of the objective returned, but {name} returned {got(result)}.{hint}"
        )
    if len(calls) > 1:
        raise TypeError(
            f"A callback must call one task, once for a trial, but {name} called "
            f"{listed(_name(call.objective) for call in calls)}."
        )
    for key, value in result.inputs.items():
        if is_task(result.objective):
            check_value(value, result.objective.python_interface.inputs.get(key, Any), key)


async def _awaited(result: Any) -> Any:
    return await result
