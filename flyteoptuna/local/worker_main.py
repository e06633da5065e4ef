"""Code of a worker process of a local search: load the task, take over the caller's environment, run trials."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing import resource_tracker
from pickle import loads
from typing import Any, NamedTuple

from flyteoptuna.errors import TaskNotLoadedError
from flyteoptuna.flyte.caller_context import CallerContext
from flyteoptuna.flyte.references import Reference, literal_from_bytes, make_reference
from flyteoptuna.internals.cloudpickle_internals import protect_readers, unpickle
from flyteoptuna.local.shared_definitions import MainScript, publish_definitions
from flyteoptuna.logs import logger
from flyteoptuna.trial.timeouts import STEP_SECONDS, end_process, run_step, trial_timeout
from flyteoptuna.values.text import exception_line

# Interval at which a worker process checks whether its parent is alive, seconds.
WATCH_INTERVAL = 0.5


class TaskNotSentError(RuntimeError):
    """A worker process does not have a task that is sent by value."""


class ProcessEnvironment(NamedTuple):
    """Environment variables, working folder and Python path of a process, and flytekit's context in it."""

    variables: dict[str, str]
    folder: str | None
    path: list[str]
    context: CallerContext

    @classmethod
    def of_this_process(cls, roots: list[str], context: CallerContext) -> ProcessEnvironment:
        """Return the environment of this process, with a context that a thread of it has taken."""
        try:
            folder = os.getcwd()
        except OSError:
            folder = None
        return cls(dict(os.environ), folder, [*roots, *sys.path], context)


class TaskPayload(NamedTuple):
    """A task for a worker process: by name, or by value if ``key`` is set."""

    build: Callable[..., Any]  # rebuilds the task by name
    args: tuple[str, ...]
    script: MainScript | None = None  # the caller's, if it defines the task
    key: str = ""  # digest of the pickle
    pickle: bytes | None = None  # definitions of its modules, and the task; None if the process should have it already


_loading = False
_applied_variables = dict(os.environ)
_tasks_by_key: dict[str, Any] = {}


def refuse_while_loading() -> None:
    """Raise if this worker process is importing a task's module: a script that searches at import would recurse.

    Raises:
        TaskNotLoadedError: this worker process is loading a task's module.
    """
    if _loading:
        raise TaskNotLoadedError(
            "the module runs a search when it is imported; put that under `__name__ == '__main__'`"
        )


def initialise_worker_args() -> tuple[int, str | None]:
    """Arguments of ``initialise_worker``, computed in the parent."""
    return os.getpid(), multiprocessing.get_start_method(allow_none=True)


@contextmanager
def interrupts_blocked() -> Iterator[None]:
    """Block Ctrl-C in processes that start in the body, until ``initialise_worker`` unblocks it.

    A terminal sends Ctrl-C to all processes, and a starting Python would print a traceback.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # Python starts the tracker with the first process, and unblocks Ctrl-C then.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def initialise_worker(parent: int, start_method: str | None) -> None:
    """Prepare a worker process: ignore Ctrl-C, which its parent handles, and end with the parent."""
    # Loky sets a start method that processes which a trial spawns do not know.
    multiprocessing.set_start_method(start_method, force=True)
    # A function: unlike SIG_IGN, child processes of a trial do not inherit it.
    signal.signal(signal.SIGINT, lambda *_: None)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    protect_readers()
    threading.Thread(target=_end_with_parent, args=(parent,), daemon=True).start()


def _end_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(WATCH_INTERVAL)
    end_process()


def apply_environment(environment: ProcessEnvironment) -> None:
    """Apply an environment to this process. Variables that the process has set itself stay."""
    global _applied_variables
    for name in _applied_variables.keys() - environment.variables.keys():
        os.environ.pop(name, None)
    for name, value in environment.variables.items():
        if _applied_variables.get(name) != value:
            os.environ[name] = value
    _applied_variables = environment.variables
    sys.path[:] = environment.path
    if environment.folder is not None:
        os.chdir(environment.folder)


@contextmanager
def loading_task() -> Iterator[None]:
    """Mark that the body loads a task.

    Raises:
        TaskNotLoadedError: the body raised.
    """
    global _loading
    _loading = True
    try:
        yield
    except BaseException as error:
        # A script may raise SystemExit.
        raise TaskNotLoadedError(exception_line(error)) from None
    finally:
        _loading = False


def load_task(payload: TaskPayload, environment: ProcessEnvironment) -> Any:
    """Apply an environment and load a task.

    Raises:
        TaskNotLoadedError: the task cannot be loaded.
        TaskNotSentError: the task is sent by value, and this process does not have it.
    """
    apply_environment(environment)
    if payload.key in _tasks_by_key:
        return _tasks_by_key[payload.key]
    if payload.key and payload.pickle is None:
        raise TaskNotSentError
    with loading_task():
        task = _load_by_value(payload.pickle) if payload.pickle else _load_by_name(payload)
    if payload.key:
        _tasks_by_key[payload.key] = task
    return task


def _load_by_name(payload: TaskPayload) -> Any:
    if payload.script is not None:
        payload.script.adopt()
    return payload.build(*payload.args)


def _load_by_value(pickle: bytes) -> Any:
    definitions, pickled = loads(pickle)
    task = unpickle(pickled)
    publish_definitions(definitions)
    return task


def check_task_loads(payload: TaskPayload, environment: ProcessEnvironment) -> None:
    """Check that a task can be loaded; raises as ``load_task``."""
    load_task(payload, environment)


def pack_inputs(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Inputs of a task as they are sent to a worker process: of references, the serialised literals."""
    return {name: value.serialised() if isinstance(value, Reference) else value for name, value in inputs.items()}


def unpack_inputs(packed: Mapping[str, Any]) -> dict[str, Any]:
    """Inputs of a task that ``pack_inputs`` packed."""
    return {
        name: make_reference(literal_from_bytes(value)) if isinstance(value, bytes) else value
        for name, value in packed.items()
    }


def run_trial(payload: TaskPayload, environment: ProcessEnvironment, packed: dict[str, Any]) -> Any:
    """Run one trial; return its report. Raises as ``load_task``."""
    task = load_task(payload, environment)
    with environment.context.enter(), trial_timeout(task.metadata.timeout, _log_timeout, end_process):
        return task.execute(**unpack_inputs(packed))


def _log_timeout(seconds: float) -> None:
    text = "A trial takes longer than the timeout of its task, %g s: its worker process is ended."
    run_step(lambda: logger.warning(text, seconds), STEP_SECONDS)
