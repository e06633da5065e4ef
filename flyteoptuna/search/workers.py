"""The worker processes of a local run, which run the trials of a batch beside each other."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flytekit.core.context_manager import ExecutionState, FlyteContextManager
from flytekit.models.literals import LiteralMap

from flyteoptuna.flyte.references import refer, reference
from flyteoptuna.search.trial_task import rebuild
from flyteoptuna.show.log import logger

WORKERS = "FLYTEOPTUNA_LOCAL_WORKERS"
"""The environment variable that limits the worker processes of a local run; 1 runs trials in the calling process."""
IDLE = 60
"""Seconds after which an idle worker process ends."""


def workers(concurrency: int) -> int:
    """Number of worker processes: the concurrency or the cores, whichever is less, unless ``WORKERS`` says otherwise.

    Raises:
        ValueError: ``WORKERS`` is not a positive int.
    """
    given = os.environ.get(WORKERS, "")
    if not given:
        return min(concurrency, os.cpu_count() or 1)
    if not given.isdecimal() or int(given) < 1:
        raise ValueError(f"`{WORKERS}` must be a positive int, but got {given!r}.")
    return min(concurrency, int(given))


class TaskNotLoadedError(RuntimeError):
    """A worker process cannot load a task from its module."""


_loading = False
_unloadable: set[str] = set()


def refuse_while_loading() -> None:
    """Keep a script that runs a search when it is imported from starting it again in each worker process.

    Raises:
        TaskNotLoadedError: this is a worker process, which loads the module of a task.
    """
    if _loading:
        raise TaskNotLoadedError(
            "the module runs a search when it is imported; put that under `__name__ == '__main__'`"
        )


def _ready(module: str, stamp: int) -> None:
    """Make worker processes new ones wherever the module of a task has changed."""


def batch(task: Any, items: Sequence[dict[str, Any]], concurrency: int) -> list[Any]:
    """The reports of a batch; None for a trial whose worker process died.

    Args:
        task: the trial task.
        items: its inputs, trial by trial.
        concurrency: most trials at once.
    """
    count = min(workers(concurrency), len(items))
    module = task.rebuild_args[1]
    if count > 1 and module not in _unloadable:
        try:
            return _in_processes(task, items, count)
        except TaskNotLoadedError as error:
            # What was made in a notebook or in a function no other process can load.
            _unloadable.add(module)
            logger.warning("Trials run one after another, for a worker process cannot load the task: %s", error)
    with as_tasks():
        return [task.execute(**item) for item in items]


def _in_processes(task: Any, items: Sequence[dict[str, Any]], count: int) -> list[Any]:
    from joblib.externals.loky import get_reusable_executor

    types = task.python_interface.inputs
    calls = []
    for item in items:
        literals = {name: refer(value, types[name]).literal for name, value in item.items()}
        calls.append(LiteralMap(literals).to_flyte_idl().SerializeToString())
    module = task.rebuild_args[1]
    args = (task.rebuild_args[1:], [*roots(module), *sys.path])
    file = getattr(sys.modules.get(module), "__file__", None)
    stamp = os.stat(file).st_mtime_ns if file and os.path.exists(file) else 0
    executor = get_reusable_executor(max_workers=count, timeout=IDLE, initializer=_ready, initargs=(module, stamp))
    futures = [executor.submit(run, *args, call) for call in calls]
    return [_result(future, args, call) for future, call in zip(futures, calls, strict=True)]


def roots(module: str) -> list[str]:
    """Where a module that this process has loaded is found."""
    # `pyflyte run` takes the folder of the module from the path again once it has loaded it.
    file = Path(getattr(sys.modules.get(module), "__file__", None) or "")
    depth = module.count(".") + (file.name == "__init__.py")
    return [str(file.parents[depth])] if len(file.parents) > depth else []


def _result(future: Future[Any], args: tuple[Any, ...], call: bytes) -> Any:
    try:
        return future.result()
    except BrokenProcessPool:
        # A worker that dies takes the trials of the others with it; alone, each shows whether it was the cause.
        return _alone(args, call)


def _alone(args: tuple[Any, ...], call: bytes) -> Any:
    from joblib.externals.loky import ProcessPoolExecutor

    with ProcessPoolExecutor(max_workers=1) as executor:
        try:
            return executor.submit(run, *args, call).result()
        except BrokenProcessPool as error:
            logger.warning("A worker process died in a trial: %s", error)
            return None


def run(args: tuple[str, str, str, str], path: list[str], call: bytes) -> Any:
    """Run one trial in a worker process: load its task as a container does, and execute it."""
    from flyteidl.core import literals_pb2

    with loading(path):
        task = rebuild(*args, again=False)
    literals = LiteralMap.from_flyte_idl(literals_pb2.LiteralMap.FromString(call)).literals
    with as_tasks():
        return task.execute(**{name: reference(literal) for name, literal in literals.items()})


@contextmanager
def loading(path: list[str]) -> Iterator[None]:
    """In the body, a worker process loads a task.

    Args:
        path: where Python looks for modules in the process that the worker is of.

    Raises:
        TaskNotLoadedError: it cannot.
    """
    global _loading
    sys.path[:] = path
    _loading = True
    try:
        yield
    except Exception as error:
        raise TaskNotLoadedError(f"{type(error).__name__}: {error}") from None
    finally:
        _loading = False


@contextmanager
def as_tasks() -> Iterator[None]:
    """In the body, what a trial calls runs at once, as in a task, and Ctrl-C is a KeyboardInterrupt."""
    # What a trial calls is to run at once, as in a task; around it is a dynamic, in which a call makes a promise.
    # Flytekit makes SystemExit of Ctrl-C, which in an objective is a failure; KeyboardInterrupt ends the search.
    main = threading.current_thread() is threading.main_thread()
    handler = signal.signal(signal.SIGINT, signal.default_int_handler) if main else None
    ctx = FlyteContextManager.current_context()
    state = (ctx.execution_state or ctx.new_execution_state()).with_params(
        mode=ExecutionState.Mode.LOCAL_TASK_EXECUTION
    )
    try:
        with FlyteContextManager.with_context(ctx.with_execution_state(state)):
            yield
    finally:
        if handler is not None:
            signal.signal(signal.SIGINT, handler)
