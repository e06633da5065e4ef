"""A worker process, seen from the process that makes it."""

from __future__ import annotations

import atexit
import hashlib
import multiprocessing
import os
import re
import sys
import sysconfig
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle

from flyteoptuna.flyte.objective import place
from flyteoptuna.search.local import process_main
from flyteoptuna.search.local.process_main import Sent, Surroundings, TaskNotLoadedError, TaskNotSentError
from flyteoptuna.show.log import logger

IDLE = 60
"""Seconds after which an idle worker process ends."""


class WorkerDiedError(RuntimeError):
    """A worker process has ended in the middle of its work."""


class Worker:
    """One process, which runs one call at a time, and is started again when it has died or left for idleness."""

    def __init__(self) -> None:
        self._executor: Any = None
        self._ended = False
        self._making = threading.Lock()
        self._files: dict[str, int] = {}
        self.ready = False

    def fresh(self) -> bool:
        """Whether the process, if there is one, cannot have loaded a module that has changed since."""
        now = _files()
        changed = any(now.get(file, stamp) != stamp for file, stamp in self._files.items())
        self._files = {**now, **self._files}
        return not changed

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """What the function returns in the process.

        Raises:
            WorkerDiedError: the process died.
        """
        from joblib.externals.loky.process_executor import BrokenProcessPool

        with self._making:
            if self._ended:
                raise WorkerDiedError("the end of its search")
            # The first call starts the process, and so does one after it has left for idleness.
            with process_main.interrupts_held():
                try:
                    future = self._submitted(function, *args)
                except BrokenProcessPool:
                    # It has died while it had nothing to do, which costs nobody a trial.
                    self._executor.shutdown(wait=True, kill_workers=True)
                    self._executor = None
                    future = self._submitted(function, *args)
        try:
            return future.result()
        except BrokenProcessPool as error:
            self._drop()
            raise WorkerDiedError(_ended_by(error)) from None

    def _submitted(self, function: Callable[..., Any], *args: Any) -> Any:
        if self._executor is None:
            self._executor = self._made()
        return self._executor.submit(function, *args)

    def _made(self) -> Any:
        from joblib.externals.loky import ProcessPoolExecutor

        self._files = _files()
        # One process an executor: where one of several dies, loky ends the others.
        return ProcessPoolExecutor(1, timeout=IDLE, initializer=process_main.begin, initargs=process_main.parentage())

    def _drop(self) -> None:
        with self._making:
            executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(wait=True, kill_workers=True)

    def end(self) -> None:
        """End the process, and what it has started, at once and for good."""
        self._ended = True
        self._drop()


def _ended_by(error: Exception) -> str:
    """How a process has ended, out of what loky tells of it in three lines."""
    codes = re.search(r"\{(.+?)\}", str(error))
    return codes[1] if codes else str(error).partition("\n")[0]


_idle: list[Worker] = []
_lock = threading.Lock()
if hasattr(os, "register_at_fork"):
    # They work for the parent.
    os.register_at_fork(after_in_child=_idle.clear)


@atexit.register
def _end_all() -> None:
    # Later, loky's own callbacks find that their modules are gone.
    while _idle:
        _idle.pop().end()


def taken() -> Worker:
    """A worker that is idle, or a new one."""
    with _lock:
        while _idle:
            found = _idle.pop()
            if found.fresh():
                return found
            found.end()
    return Worker()


def given_back(worker: Worker) -> None:
    """Keep a worker for the next search, or end it if it has not even started, or would keep this process from ending.

    One that ``multiprocessing`` has started waits for its children, and calls nothing before that.
    """
    if worker.ready and multiprocessing.parent_process() is None:
        with _lock:
            _idle.append(worker)
    else:
        worker.end()


def _files() -> dict[str, int]:
    """The files of the modules that are loaded and are not installed, with the times when they were changed."""
    installed = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
    found = {}
    # Others may stand among the modules too, as those of C do.
    for module in [each for each in list(sys.modules.values()) if issubclass(type(each), ModuleType)]:
        # A module that flytekit loads lazily would be loaded by being asked, in this thread, under the hands of others.
        file = object.__getattribute__(module, "__dict__").get("__file__")
        if isinstance(file, str) and not file.startswith(installed):
            try:
                found[file] = os.stat(file).st_mtime_ns
            except OSError:
                continue
    return found


class Road:
    """The way of a task to the workers: by name where they can load it, by value where they cannot.

    Args:
        task: what the workers run.
        build: makes it in a worker, of the arguments that its resolver was given.
        origins: the user's task, and a callback that calls it, which stand in modules.
    """

    def __init__(self, task: Any, build: Callable[..., Any], *origins: Any) -> None:
        self._task, self._origins = task, origins
        self._lock = threading.Lock()
        self._modules = [place(origin)[0] for origin in origins]
        self._roots = [root for module in self._modules for root in roots(module)]
        self._whole: Sent | None = None
        self._sent = Sent(build, task.rebuild_args[1:])

    def prepare(self, process: Worker) -> None:
        """Let a worker load the task.

        Raises:
            TaskNotLoadedError: it can be loaded neither by name nor by value.
            WorkerDiedError: the process died of something else.
        """
        if not self._sent.key:
            why = self._why_not_by_name(process)
            if why is None:
                return
            self._by_value(why)
        self.call(process, process_main.prepare)

    def _why_not_by_name(self, process: Worker) -> str | None:
        # In a notebook flytekit knows no module, which is as it should be.
        return _reason(process, process_main.prepare, self._sent, self._around()) if all(self._modules) else ""

    def call(self, process: Worker, function: Callable[..., Any], *args: Any) -> Any:
        """What a function returns in a worker, of the task on its way, the surroundings and the arguments."""
        try:
            return process.call(function, self._sent, self._around(), *args)
        except TaskNotSentError:
            return process.call(function, self._whole, self._around(), *args)

    def _around(self) -> Surroundings:
        return Surroundings.now(self._roots)

    def _by_value(self, reason: str) -> None:
        with self._lock:
            if self._whole is not None:
                return
            if reason:
                logger.warning("The task is sent to worker processes by value, for they cannot load it: %s", reason)
            try:
                data = self._pickled()
            except Exception as error:
                raise TaskNotLoadedError(f"{reason}; {type(error).__name__}: {error}") from None
            key = hashlib.sha256(data).hexdigest()
            self._whole, self._sent = self._sent._replace(key=key, pickle=data), self._sent._replace(key=key)

    def _pickled(self) -> bytes:
        functions = (getattr(origin, "task_function", origin) for origin in self._origins)
        names = {getattr(function, "__module__", "") for function in functions} - {"__main__"}
        own = [sys.modules[name] for name in names if name in sys.modules]
        for module in own:
            cloudpickle.register_pickle_by_value(module)
        try:
            return bytes(cloudpickle.dumps(self._task))
        finally:
            for module in own:
                cloudpickle.unregister_pickle_by_value(module)


def _reason(process: Worker, function: Callable[..., Any], *args: Any) -> str | None:
    """Why a call in a worker cannot load the task; None where it can."""
    try:
        process.call(function, *args)
    except TaskNotLoadedError as error:
        return str(error)
    except WorkerDiedError as error:
        return f"the process died by {error}"
    return None


def roots(module: str) -> list[str]:
    """Where the modules of a module's package are found, as far as this process knows."""
    # `pyflyte run` takes the folder of the module from the path again once it has loaded it.
    file = Path(getattr(sys.modules.get(module), "__file__", None) or "")
    depth = module.count(".") + (file.name == "__init__.py")
    return [str(file.parents[depth])] if len(file.parents) > depth else []
