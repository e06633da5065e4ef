"""Flytekit's context in a trial: that of a local call of its task, or that of a pod of its own.

On import, this module wraps flytekit's handler of calls, so that a task or a workflow that a local trial calls returns
a value, as it does in a pod. In flytekit's own local call of a task it returns a promise.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import datetime, timezone
from typing import Any

import wrapt
from flytekit.core import array_node, base_task, promise, workflow
from flytekit.core.checkpointer import Checkpoint, SyncCheckpoint
from flytekit.core.context_manager import (
    ExecutionParameters,
    ExecutionState,
    FlyteContext,
    FlyteContextManager,
    OutputMetadataTracker,
)
from flytekit.core.python_function_task import PythonFunctionTask
from flytekit.deck import DeckField

from flyteoptuna.flyte.workflow_scope import outside_workflows
from flyteoptuna.internals.flytekit_internals import checkpoint_folders, clone_task, copy_file_access
from flyteoptuna.values.tracebacks import public

# Environment variable of a pod: number of its attempt, from 0.
ATTEMPT = "FLYTE_ATTEMPT_NUMBER"

_in_local_call: ContextVar[bool] = ContextVar("flyteoptuna_local_call", default=False)


@public
def _call_entity(wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any) -> Any:
    __tracebackhide__ = _rich_traceback_omit = True
    ctx = FlyteContextManager.current_context()
    result = wrapped(*args, **kwargs)
    state = ctx.execution_state
    in_task = state is not None and state.mode is ExecutionState.Mode.LOCAL_TASK_EXECUTION
    if not _in_local_call.get() or not in_task or ctx.compilation_state is not None:
        return result
    outputs = None if isinstance(result, promise.VoidPromise) else result
    return promise.create_native_named_tuple(ctx, outputs, args[0].python_interface)


for _module in (array_node, base_task, promise, workflow):
    wrapt.wrap_function_wrapper(_module, "flyte_entity_call_handler", _call_entity)


@contextmanager
def local_call(task: PythonFunctionTask[Any], checkpoint: Checkpoint | None = None) -> Iterator[None]:
    """Enter the context that flytekit gives the function of a task that is called locally.

    ``checkpoint`` is that of the call; None for one without earlier attempts.
    """
    ctx, state, given = _current()
    params = given.with_task_sandbox()
    params.checkpoint = checkpoint or params.checkpoint
    state = state.with_params(mode=task.local_execution_mode(), user_space_params=_own_params(task, params))
    context = ctx.with_execution_state(state).with_output_metadata_tracker(OutputMetadataTracker())
    token = _in_local_call.set(True)
    try:
        with FlyteContextManager.with_context(context), outside_workflows():
            yield
    finally:
        _in_local_call.reset(token)


@contextmanager
def pod_call(task: PythonFunctionTask[Any]) -> Iterator[None]:
    """Enter the context of a task's pod, in a pod that flytekit has set up for a map over the task."""
    ctx, state, given = _current()
    params = given.builder()
    params.checkpoint = _without_missing_source(params.checkpoint)
    # Flytekit gives a map no decks.
    state = state.with_params(user_space_params=_with_decks(task, params.build()))
    with FlyteContextManager.with_context(ctx.with_execution_state(state)):
        yield


@contextmanager
def reused_pod_call(task: PythonFunctionTask[Any], call: str, attempt: int, checkpoint: Checkpoint) -> Iterator[None]:
    """Enter the context of a task's pod, in a pod that calls the task several times: each call has its own folders.

    Args:
        task: the user's task.
        call: name of the call, different for each one of the pod.
        attempt: number of the attempt, from 0.
        checkpoint: checkpoint of the attempt.
    """
    ctx, state, given = _current()
    params, access = given.builder(), ctx.file_access
    params.working_dir, params.checkpoint = tempfile.mkdtemp(dir=access.local_sandbox_dir), checkpoint
    params.raw_output_prefix = access.join(access.raw_output_prefix, call)
    params.execution_date = datetime.now(timezone.utc)
    own = _own_params(task, params)
    context = ctx.with_execution_state(state.with_params(user_space_params=own))
    context = context.with_file_access(copy_file_access(access, params.raw_output_prefix))
    context = context.with_output_metadata_tracker(OutputMetadataTracker())
    try:
        with _attempt_number(attempt), FlyteContextManager.with_context(context):
            yield
    finally:
        given.decks.extend(own.decks)


def begin_once(task: PythonFunctionTask[Any]) -> PythonFunctionTask[Any]:
    """Copy a task for several calls in one pod: its ``pre_execute`` runs until it has succeeded once.

    A plugin expects that its pod begins, for example, one Ray, which lasts until the pod ends. A plugin that has a
    ``post_execute`` ends there what it has begun, and begins each call anew.
    """
    begun: dict[str, Any] | None = None

    def pre_execute(params: ExecutionParameters) -> ExecutionParameters:
        nonlocal begun
        own = params.builder()
        if begun is None:
            own = (task.pre_execute(params) or params).builder()
            begun = dict(own.attrs)
        own.attrs = {**own.attrs, **begun}
        return own.build()

    copied: Any = clone_task(task)
    if type(task).post_execute is PythonFunctionTask.post_execute:
        copied.pre_execute = pre_execute
    return copied


@contextmanager
def plugin_context(task: PythonFunctionTask[Any]) -> Iterator[ExecutionParameters]:
    """Enter the context that the ``pre_execute`` of a task makes, in which its inputs and outputs are converted too."""
    ctx, state, given = _current()
    params = task.pre_execute(given) or given
    with FlyteContextManager.with_context(ctx.with_execution_state(state.with_params(user_space_params=params))):
        yield params


def _current() -> tuple[FlyteContext, ExecutionState, ExecutionParameters]:
    ctx = FlyteContextManager.current_context()
    state = ctx.execution_state or ctx.new_execution_state()
    if state.user_space_params is None:
        raise RuntimeError("There are no execution parameters in the present context of flytekit.")
    return ctx, state, state.user_space_params


def _own_params(task: PythonFunctionTask[Any], params: ExecutionParameters.Builder) -> ExecutionParameters:
    # Calls would share the list and the dictionary.
    params.decks, params.attrs = [], dict(params.attrs)
    return _with_decks(task, params.build())


def _with_decks(task: PythonFunctionTask[Any], params: ExecutionParameters) -> ExecutionParameters:
    if not task.enable_deck or params.enable_deck:
        return params
    if DeckField.TIMELINE in task.deck_fields:
        params.decks.append(params.timeline_deck)
    return params.with_enable_deck(True).build()


def _without_missing_source(checkpoint: Checkpoint | None) -> Checkpoint | None:
    """Return a checkpoint that has none to read if the earlier attempt saved none; flytekit's raises then."""
    if not isinstance(checkpoint, SyncCheckpoint) or not checkpoint.prev_exists():
        return checkpoint
    target, source = checkpoint_folders(checkpoint)
    with suppress(Exception):
        files = FlyteContextManager.current_context().file_access.get_filesystem_for_path(source)
        if not files.exists(source):
            return SyncCheckpoint(target)
    return checkpoint


@contextmanager
def _attempt_number(attempt: int) -> Iterator[None]:
    before = os.environ.get(ATTEMPT)
    if before is not None:
        os.environ[ATTEMPT] = str(attempt)
    try:
        yield
    finally:
        if before is not None:
            os.environ[ATTEMPT] = before
