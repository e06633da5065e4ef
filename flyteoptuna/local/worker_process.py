"""Parent's side of worker processes: start, call and kill them, and send tasks to them."""

from __future__ import annotations

import atexit
import hashlib
import multiprocessing
import os
import pickle
import re
import sys
import sysconfig
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle

from flyteoptuna.errors import TaskNotLoadedError
from flyteoptuna.flyte.caller_context import CallerContext
from flyteoptuna.flyte.objective import import_location
from flyteoptuna.local import worker_main
from flyteoptuna.local.shared_definitions import MAIN, MainScript, pickle_definitions
from flyteoptuna.local.worker_main import ProcessEnvironment, TaskNotSentError, TaskPayload
from flyteoptuna.logs import logger
from flyteoptuna.streams import usable_streams
from flyteoptuna.values.text import exception_line

# Time after which an idle worker process ends, seconds.
IDLE_SECONDS = 60

_start_lock = threading.Lock()  # of the standard streams, which loky flushes


class WorkerDiedError(RuntimeError):
    """A worker process ended during a call."""


class WorkerNotStartedError(RuntimeError):
    """A worker process cannot be started, as in a daemonic process or without semaphores."""


class WorkerProcess:
    """One process, which runs one call at a time. It starts again after it has died or ended idle."""

    def __init__(self) -> None:
        self._executor: Any = None
        self.ended = False  # for good, with its search
        self._starting = threading.Lock()
        self._file_times: dict[str, int] = {}
        self.ready = False  # it has loaded a task, and may be kept for the next search

    def is_current(self) -> bool:
        """Test whether the source files of the modules that the process may have loaded are unchanged."""
        times = _module_file_times()
        changed = any(times.get(file, time) != time for file, time in self._file_times.items())
        self._file_times = {**times, **self._file_times}
        return not changed

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function in the process and return its result.

        Raises:
            WorkerDiedError: the process died.
            WorkerNotStartedError: the process cannot be started.
        """
        with self._starting:
            if self.ended:
                raise WorkerDiedError("the end of its search")
            try:
                # The first call starts the process, and so does a call after it has ended idle.
                with _start_lock, worker_main.interrupts_blocked(), usable_streams():
                    future = self._submit(function, *args)
            except Exception as error:
                # Half an executor may be left.
                self._executor = None
                raise WorkerNotStartedError(exception_line(error)) from None
        from loky.process_executor import BrokenProcessPool

        try:
            return future.result()
        except BrokenProcessPool as error:
            self._shut_down()
            raise WorkerDiedError(_exit_reason(error)) from None

    def _submit(self, function: Callable[..., Any], *args: Any) -> Any:
        from loky import ProcessPoolExecutor
        from loky.process_executor import BrokenProcessPool

        if self._executor is not None:
            try:
                return self._executor.submit(function, *args)
            except BrokenProcessPool:
                # It died while it was idle, which costs no trial.
                self._executor.shutdown(wait=True, kill_workers=True)
                self._executor = None
        self._file_times = _module_file_times()
        # One process an executor: when one of several dies, loky ends the others.
        self._executor = ProcessPoolExecutor(
            1,
            timeout=IDLE_SECONDS,
            initializer=worker_main.initialise_worker,
            initargs=worker_main.initialise_worker_args(),
        )
        return self._executor.submit(function, *args)

    def _shut_down(self) -> None:
        with self._starting:
            executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(wait=True, kill_workers=True)

    def end(self) -> None:
        """Kill the process and its children, and start it no more."""
        self.ended = True
        self._shut_down()


def _exit_reason(error: Exception) -> str:
    """Return the exit code or signal from loky's message."""
    codes = re.search(r"\{(.+?)\}", str(error))
    return codes[1] if codes else str(error).partition("\n")[0]


_idle: list[WorkerProcess] = []
_idle_lock = threading.Lock()
if hasattr(os, "register_at_fork"):
    # They belong to the parent.
    os.register_at_fork(after_in_child=_idle.clear)


@atexit.register
def _end_idle() -> None:
    # Any later, loky's own callbacks find their modules gone.
    while _idle:
        _idle.pop().end()


def acquire() -> WorkerProcess:
    """Return an idle worker process, or a new one."""
    with _idle_lock:
        while _idle:
            worker = _idle.pop()
            if worker.is_current():
                return worker
            worker.end()
    return WorkerProcess()


def release(worker: WorkerProcess) -> None:
    """Keep a worker process for the next search.

    It is ended instead if it never loaded a task, or if this process was started by ``multiprocessing``: such a process
    waits for its children before it calls any exit handler.
    """
    if worker.ready and multiprocessing.parent_process() is None:
        with _idle_lock:
            _idle.append(worker)
    else:
        worker.end()


def _module_file_times() -> dict[str, int]:
    """Modification times of the files of loaded modules that are not installed."""
    installed = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
    times = {}
    # `sys.modules` may hold objects that are no modules.
    for module in [each for each in list(sys.modules.values()) if issubclass(type(each), ModuleType)]:
        # `getattr` would make flytekit import a lazy module, here, while other threads may use it.
        file = object.__getattribute__(module, "__dict__").get("__file__")
        if isinstance(file, str) and not file.startswith(installed):
            try:
                times[file] = os.stat(file).st_mtime_ns
            except OSError:
                continue
    return times


class TaskTransport:
    """Sends a task to worker processes: by name, or by value if they cannot import the modules of its origins.

    ``build`` rebuilds the task in a worker process, from its loader arguments.
    """

    def __init__(self, task: Any, build: Callable[..., Any], *origins: Any, context: CallerContext) -> None:
        self._task, self._origins, self._context = task, origins, context
        self._lock = threading.Lock()
        self._modules = [import_location(origin)[0] for origin in origins]
        script = next(filter(None, map(_main_script, origins, self._modules)), None)
        self._roots = [root for module in self._modules for root in import_roots(module)]
        if script is not None:
            self._roots.append(script.root())
        self._payload = TaskPayload(build, task.rebuild_args[1:], script)
        self._payload_with_pickle: TaskPayload | None = None

    def prepare(self, worker: WorkerProcess) -> None:
        """Let a worker process load the task.

        Raises:
            TaskNotLoadedError: the process cannot be started, or can load the task neither by name nor by value.
        """
        try:
            if not self._payload.key:
                # In a notebook a task has no module.
                reason = self._try_by_name(worker) if all(self._modules) else ""
                if reason is None:
                    return
                self._send_by_value(reason)
            self.call(worker, worker_main.check_task_loads)
        except WorkerNotStartedError as error:
            raise TaskNotLoadedError(f"no process can be started: {error}") from None
        except WorkerDiedError as error:
            raise TaskNotLoadedError(f"the process died by {error}") from None

    def call(self, worker: WorkerProcess, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function in a worker process with the task, this process's environment and further arguments."""
        try:
            return worker.call(function, self._payload, self._environment(), *args)
        except TaskNotSentError:
            return worker.call(function, self._payload_with_pickle, self._environment(), *args)

    def _environment(self) -> ProcessEnvironment:
        return ProcessEnvironment.of_this_process(self._roots, self._context)

    def _try_by_name(self, worker: WorkerProcess) -> str | None:
        """Load the task by name; return the reason if that fails, else None. Raises if its search has ended."""
        try:
            worker.call(worker_main.check_task_loads, self._payload, self._environment())
        except TaskNotLoadedError as error:
            return str(error)
        except WorkerDiedError as error:
            if worker.ended:
                raise
            return f"the process died by {error}"
        return None

    def _send_by_value(self, reason: str) -> None:
        with self._lock:
            if self._payload_with_pickle is not None:
                return
            if reason:
                logger.warning("The task is sent to worker processes by value, for they cannot load it: %s", reason)
            try:
                data = self._pickle_task()
            except Exception as error:
                raise TaskNotLoadedError("; ".join(filter(None, (reason, exception_line(error))))) from None
            payload = self._payload._replace(key=hashlib.sha256(data).hexdigest())
            # In this order: other threads that get the key alone need the pickle next.
            self._payload_with_pickle = payload._replace(pickle=data)
            self._payload = payload

    def _pickle_task(self) -> bytes:
        functions = (getattr(origin, "task_function", origin) for origin in self._origins)
        names = {getattr(function, "__module__", "") for function in functions}
        modules = [sys.modules[name] for name in names if name in sys.modules]
        by_reference = [module for module in modules if module.__name__ != MAIN]
        for module in by_reference:
            cloudpickle.register_pickle_by_value(module)
        try:
            definitions = {module.__name__: pickle_definitions(module) for module in modules}
            return pickle.dumps((definitions, cloudpickle.dumps(self._task)))
        finally:
            for module in by_reference:
                cloudpickle.unregister_pickle_by_value(module)


def _main_script(origin: Any, module: str) -> MainScript | None:
    in_script = getattr(origin, "task_function", origin).__module__ == MAIN
    return MainScript.of_this_process(module) if in_script and module else None


def import_roots(module: str) -> list[str]:
    """Folder from which a module's top package is imported, as a list; empty if unknown."""
    # `pyflyte run` removes the module's folder from the path after it has loaded it.
    file = Path(getattr(sys.modules.get(module), "__file__", None) or "")
    depth = module.count(".") + (file.name == "__init__.py")
    return [str(file.parents[depth])] if len(file.parents) > depth else []
