"""Calls of a callback that record the call of the objective instead of running it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from flytekit.core.context_manager import ExecutionState, FlyteContextManager
from flytekit.utils.asyn import loop_manager

from flyteoptuna.flyte.objective import is_task
from flyteoptuna.space.annotations import check_callback_input
from flyteoptuna.values.did_you_mean import join_names, value_and_type
from flyteoptuna.values.no_value import NoValue


def _name(task: Any) -> str:
    return str(getattr(task, "name", task))


@dataclass(frozen=True, eq=False, repr=False)
class ObjectiveCall(NoValue):
    """A recorded call of a task in a callback, without a value."""

    objective: Any
    inputs: Mapping[str, Any]  # by name
    stored: Mapping[str, str] = field(default_factory=dict)  # as JSON, by name; see `stored_inputs`

    def __await__(self) -> Generator[Any, None, ObjectiveCall]:
        # An async callback may await the call, as in an eager task.
        yield from ()
        return self

    def __repr__(self) -> str:
        inputs = ", ".join(f"{name}={value_and_type(value)}" for name, value in self.inputs.items())
        return f"{_name(self.objective)}({inputs})"

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


class _CallRecorder:
    """Worker queue that records calls of tasks, in place of the queue of an eager task."""

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
    """Run a callback for a trial and return the recorded call of the objective, which it must return."""
    ctx = FlyteContextManager.current_context()
    recorder = _CallRecorder()
    # In an eager task flytekit passes each call to the worker queue, with its arguments by name. In all other modes it
    # converts the inputs, or binds them to a node.
    state = ctx.new_execution_state().with_params(mode=ExecutionState.Mode.EAGER_EXECUTION)
    eager = ctx.with_execution_state(state).with_worker_queue(recorder)
    with FlyteContextManager.with_context(eager):
        result = callback(trial=trial, **fixed)
        if inspect.isawaitable(result):
            result = loop_manager.run_sync(_await, result)
    name, calls = callback.__qualname__, recorder.calls
    if not isinstance(result, ObjectiveCall):
        hint = ""
        if result is None and calls:
            hint = f" Write `return {_name(calls[-1].objective).rpartition('.')[2]}(...)`."
        elif isinstance(result, (list, tuple)) and any(isinstance(each, ObjectiveCall) for each in result):
            hint = " A trial is one call: the mean of several belongs into the task."
        elif not calls:
            hint = " It called no task: call the @task itself, and not its function."
        raise TypeError(
            f"A callback must return what its call of the objective returned, but {name} returned "
            f"{value_and_type(result)}.{hint}"
        )
    if len(calls) > 1:
        raise TypeError(
            f"A callback must call one task, once for a trial, but {name} called "
            f"{join_names(_name(call.objective) for call in calls)}."
        )
    for key, value in result.inputs.items():
        if is_task(result.objective):
            check_callback_input(value, result.objective.python_interface.inputs.get(key, Any), key)
    return result


async def _await(result: Any) -> Any:
    return await result
