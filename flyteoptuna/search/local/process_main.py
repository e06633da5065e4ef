"""What runs in a worker process of a local run: trials, in the surroundings of the process that asked for them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import Any, NamedTuple

from flytekit.models.literals import LiteralMap

from flyteoptuna.core.unpickling import unpickled
from flyteoptuna.flyte.references import reference
from flyteoptuna.flyte.scoped_settings import as_task
from flyteoptuna.search.timed import end_started, timed
from flyteoptuna.show.log import logger

WATCH_EVERY = 0.5
"""Seconds after which a worker process looks again whether the process that made it lives."""


class TaskNotLoadedError(RuntimeError):
    """A worker process cannot load a task."""


class TaskNotSentError(RuntimeError):
    """A worker process has not been sent the task yet."""


class Surroundings(NamedTuple):
    """What a trial finds around it: environment variables, working folder and Python's path."""

    variables: dict[str, str]
    folder: str | None
    path: list[str]

    @classmethod
    def now(cls, roots: list[str]) -> Surroundings:
        """Those of this process, with more folders at the beginning of the path."""
        try:
            folder = os.getcwd()
        except OSError:
            folder = None
        return cls(dict(os.environ), folder, [*roots, *sys.path])


class Sent(NamedTuple):
    """A task on its way: by name, or where ``key`` says so, by value.

    Attributes:
        build: makes the task of its name.
        args: what it makes it of.
        key: digest of the task's pickle; empty for one that goes by name.
        pickle: the task; None where the worker is thought to have it.
    """

    build: Callable[..., Any]
    args: tuple[str, ...]
    key: str = ""
    pickle: bytes | None = None


_loading = False
_given = dict(os.environ)
_tasks: dict[str, Any] = {}


def refuse_while_loading() -> None:
    """Keep a script that runs a search when it is imported from starting it again in each worker process.

    Raises:
        TaskNotLoadedError: this is a worker process, which loads the module of a task.
    """
    if _loading:
        raise TaskNotLoadedError(
            "the module runs a search when it is imported; put that under `__name__ == '__main__'`"
        )


def parentage() -> tuple[int, str | None]:
    """What :func:`begin` is told of this process."""
    return os.getpid(), multiprocessing.get_start_method(allow_none=True)


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Hold back Ctrl-C from the processes that are started in the body, until they have begun.

    A terminal sends it to all of them, and Python would write where it was just then.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # Python starts it with the first process, and then lets Ctrl-C through again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def begin(parent: int, method: str | None) -> None:
    """Prepare a worker process: its parent decides what Ctrl-C does, and it ends with its parent.

    Args:
        parent: the parent's number.
        method: how the parent starts processes by ``multiprocessing``; None for the platform's own way.
    """
    # Loky leaves its own method, which the processes that a trial spawns do not know.
    multiprocessing.set_start_method(method, force=True)
    # A function, which unlike SIG_IGN is not handed down to what a trial starts.
    signal.signal(signal.SIGINT, lambda *_: None)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(WATCH_EVERY)
    end_started()
    os._exit(1)


def enter(around: Surroundings) -> None:
    """Make the surroundings of this process those that are given."""
    global _given
    # What the process has set itself stays.
    for name in _given.keys() - around.variables.keys():
        os.environ.pop(name, None)
    for name, value in around.variables.items():
        if _given.get(name) != value:
            os.environ[name] = value
    _given = around.variables
    sys.path[:] = around.path
    if around.folder is not None:
        os.chdir(around.folder)


@contextmanager
def loading() -> Iterator[None]:
    """In the body, a worker process loads a task.

    Raises:
        TaskNotLoadedError: it cannot.
    """
    global _loading
    _loading = True
    try:
        yield
    except BaseException as error:
        # A script may leave by SystemExit.
        raise TaskNotLoadedError(f"{type(error).__name__}: {error}") from None
    finally:
        _loading = False


def load(sent: Sent, around: Surroundings) -> Any:
    """The task.

    Raises:
        TaskNotLoadedError: it cannot be loaded.
        TaskNotSentError: it goes by value, and this process does not have it.
    """
    enter(around)
    if sent.key in _tasks:
        return _tasks[sent.key]
    if sent.key and sent.pickle is None:
        raise TaskNotSentError
    with loading():
        task = unpickled(sent.pickle) if sent.pickle else sent.build(*sent.args)
    if sent.key:
        _tasks[sent.key] = task
    return task


def prepare(sent: Sent, around: Surroundings) -> None:
    """Load a task, to know whether that works; raises as :func:`load`."""
    load(sent, around)


def run(sent: Sent, around: Surroundings, call: bytes) -> Any:
    """The report of one trial; raises as :func:`load`.

    Args:
        sent: the trial task.
        around: where it is to run.
        call: its inputs, as a serialised map of literals.
    """
    from flyteidl.core import literals_pb2

    task = load(sent, around)
    literals = LiteralMap.from_flyte_idl(literals_pb2.LiteralMap.FromString(call)).literals
    with as_task(), timed(task.metadata.timeout, _hung):
        return task.execute(**{name: reference(literal) for name, literal in literals.items()})


def _hung(seconds: float) -> None:
    logger.warning("A trial takes longer than the timeout of its task, %g s: its worker process is ended.", seconds)
    leave()


def leave() -> None:
    """End this process in the middle of a trial that hangs, with all that it has started."""
    sys.stdout.flush()
    sys.stderr.flush()
    end_started()
    os._exit(1)
