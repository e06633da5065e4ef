"""The trials of a local search in batches: in this process, and in worker processes once these save time."""

from __future__ import annotations

import functools
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from flyteoptuna.flyte.caller_context import CallerContext
from flyteoptuna.flyte.objective import TRIAL
from flyteoptuna.flyte.references import Reference
from flyteoptuna.flyte.report_transport import read_handle
from flyteoptuna.local import worker_main
from flyteoptuna.local.worker_process import TaskTransport, WorkerDiedError, WorkerProcess, acquire, release
from flyteoptuna.logs import logger
from flyteoptuna.search.trial_task import rebuild_trial_task
from flyteoptuna.trial.report import TrialReport
from flyteoptuna.values.text import plural

if TYPE_CHECKING:
    from typing_extensions import Self

# Environment variable: number of worker processes of a local search; 1 runs all trials in the calling process.
WORKERS = "FLYTEOPTUNA_LOCAL_WORKERS"
# Estimated cost of starting the worker processes, seconds. They start if they save more.
START_SECONDS = 2.0
# Line of the log before worker processes start that no trial runs beside.
STARTING = "Its worker processes start, which takes some seconds."
# Interval at which the saving is estimated, seconds.
LOOK_INTERVAL = 0.05


def worker_count(concurrency: int) -> int:
    """Number of worker processes: ``WORKERS``, or else the number of cores, at most the concurrency.

    Raises:
        ValueError: ``WORKERS`` is not a positive int.
    """
    given = os.environ.get(WORKERS, "")
    if not given:
        return min(concurrency, os.cpu_count() or 1)
    if not given.isdecimal() or int(given) < 1:
        raise ValueError(f"`{WORKERS}` must be a positive int, but got {given!r}.")
    return min(concurrency, int(given))


def needs_process(count: int, timeout: Any) -> bool:
    """Test whether trials run in worker processes: several of them, or one that a timeout may have to kill."""
    return count > 1 or (bool(timeout) and int(os.environ.get(WORKERS) or 2) > 1)


def describe_workers(slots: int) -> str:
    """Number of trials that run at once on this machine, of ``slots`` that the settings allow, in words."""
    count, given = worker_count(slots), os.environ.get(WORKERS)
    text = f"at most {count} at once" if count > 1 else "one after another"
    if count == slots:
        return text
    limit = f"{WORKERS} is {given}" if given else f"this machine has {plural(os.cpu_count() or 1, 'core')}"
    return f"{text} ({'of' if count > 1 else 'instead of'} {slots}: {limit})"


def log_without_workers(reason: object) -> None:
    """Log that no worker process runs trials."""
    logger.warning("Trials run one after another, for no worker process can run them: %s", reason)


def log_lost_worker(reason: object) -> None:
    """Log that a worker process which has run trials cannot be started, or load the task, again."""
    logger.warning("A worker process less: %s", reason)


class TrialPool:
    """Runs the trials of one search. A context manager.

    With one worker and no timeout, or with ``WORKERS`` at 1, the calling process runs all trials. Otherwise worker
    processes run them: all of them if ``WORKERS`` is set or the task has a timeout, else those after the first ones,
    as soon as worker processes are estimated to save time.

    Args:
        task: the trial task.
        objective: the user's task.
        slots: maximum number of trials at once.
        n_trials: number of trials of the search.
    """

    def __init__(self, task: Any, objective: Any, slots: int, n_trials: int) -> None:
        self._task, self._objective = task, objective
        self._n_workers = worker_count(slots)
        timeout = task.metadata.timeout
        self._uses_processes = needs_process(self._n_workers, timeout)
        # Of the thread that searches: the workers may be started by another one.
        self._context = CallerContext.current()
        self._starts_late = self._uses_processes and not timeout and not os.environ.get(WORKERS)
        self._n_remaining = n_trials
        # Of the trials that ran in this process.
        self._seconds, self._n_ran, self._trial_start = 0.0, 0, 0.0
        self._changed = threading.Condition()
        self._queue: deque[tuple[int, dict[str, Any]]] = deque()
        self._ended: deque[tuple[int, TrialReport]] = deque()
        self._n_running = 0
        self._n_threads, self._n_ready = 0, 0
        self._closed = False
        self._error: BaseException | None = None
        self._workers: list[WorkerProcess] = []

    def __enter__(self) -> Self:
        if self._starts_late:
            # Without a further thread, all trials run here.
            with suppress(RuntimeError):
                threading.Thread(target=self._start_when_worthwhile, daemon=True).start()
        elif self._uses_processes:
            logger.info(STARTING)
            try:
                self._start_workers()
            except BaseException:
                # By Ctrl-C, after which `with` does not end what has started.
                self._close(ends=True)
                raise
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._close(ends=error is not None)

    def _close(self, *, ends: bool) -> None:
        """End the worker processes, or keep them for the next search."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            workers, self._workers = self._workers, []
        for worker in workers:
            if ends:
                worker.end()
            else:
                release(worker)

    def run_batch(
        self, inputs: Sequence[dict[str, Any]], on_end: Callable[[int, TrialReport], None]
    ) -> list[TrialReport]:
        """Run a batch; return the reports. ``on_end`` is called with the position and the report of each trial."""
        reports = []
        with self._changed:
            self._queue.extend(enumerate(inputs))
            self._changed.notify_all()
        for _ in inputs:
            position, report = self._next_report()
            reports.append(report)
            self._n_remaining -= 1
            on_end(position, report)
        return reports

    def _next_report(self) -> tuple[int, TrialReport]:
        """Wait for a trial to end; run one here if no worker process does."""
        with self._changed:
            while True:
                if self._error is not None:
                    raise self._error
                if self._ended:
                    return self._ended.popleft()
                if self._queue and not self._workers_take_trials():
                    position, trial_inputs = self._queue.popleft()
                    break
                self._changed.wait()
            self._n_running += 1
            self._trial_start = time.monotonic()
        try:
            return position, self._task.execute(**trial_inputs)
        finally:
            with self._changed:
                self._n_running -= 1
                self._seconds += time.monotonic() - self._trial_start
                self._n_ran += 1
                self._trial_start = 0.0
                self._changed.notify_all()

    def _workers_take_trials(self) -> bool:
        """Test whether the calling process has to leave the queued trials to the worker processes."""
        # Workers that start late are not waited for.
        n_workers = self._n_ready if self._starts_late else self._n_threads
        return n_workers > 0 or self._n_running >= self._n_workers

    def _start_when_worthwhile(self) -> None:
        while not self._closed:
            if self._estimated_saving() > START_SECONDS:
                self._start_workers()
                return
            time.sleep(LOOK_INTERVAL)

    def _estimated_saving(self) -> float:
        """Time that workers would save if all trials took as long as those so far, seconds."""
        start = self._trial_start
        if not start:
            return 0.0
        mean = (self._seconds + time.monotonic() - start) / (self._n_ran + 1)
        return mean * self._n_remaining * (1 - 1 / self._n_workers)

    def _start_workers(self) -> None:
        build = functools.partial(rebuild_trial_task, on_flyte=False)
        transport = TaskTransport(self._task, build, self._objective, context=self._context)
        with self._changed:
            if self._closed:
                return
            self._workers = [acquire() for _ in range(self._n_workers)]
            self._n_threads = self._n_workers
            threads = [
                threading.Thread(target=self._serve_worker, args=(transport, worker), daemon=True)
                for worker in self._workers
            ]
        for thread in threads:
            try:
                thread.start()
            except RuntimeError as error:
                self._lose_worker(error)

    def _lose_worker(self, reason: Exception) -> None:
        """Go on without a worker process that has not run any trial. The last one to be lost logs the reason."""
        with self._changed:
            self._n_threads -= 1
            if not self._closed and not self._n_threads:
                log_without_workers(reason)
            self._changed.notify_all()

    def _serve_worker(self, transport: TaskTransport, worker: WorkerProcess) -> None:
        """Body of the thread of one worker process."""
        try:
            transport.prepare(worker)
        except Exception as error:
            self._lose_worker(error)
            return
        with self._changed:
            worker.ready = not self._closed
            self._n_ready += 1
        self._run_trials(transport, worker)
        with self._changed:
            self._n_threads -= 1
            self._n_ready -= 1
            self._changed.notify_all()

    def _run_trials(self, transport: TaskTransport, worker: WorkerProcess) -> None:
        """Run queued trials in one worker process until the pool is closed or the process is lost."""
        while True:
            with self._changed:
                while not self._closed and (not self._queue or self._n_running >= self._n_workers):
                    self._changed.wait()
                if self._closed:
                    return
                position, inputs = self._queue.popleft()
                self._n_running += 1
            report, start = None, time.time()
            try:
                report = transport.call(worker, worker_main.run_trial, worker_main.pack_inputs(inputs))
            except WorkerDiedError as error:
                logger.warning("A worker process died in a trial, by %s.", error)
                report = self._report_death(inputs[TRIAL], error, start)
            except Exception as error:
                # Not the trial's: the process cannot be started again, or cannot load the task again.
                with self._changed:
                    self._n_running -= 1
                    self._queue.appendleft((position, inputs))
                    if not self._closed:
                        log_lost_worker(error)
                return
            except BaseException as error:
                with self._changed:
                    self._error = self._error or error
            with self._changed:
                self._n_running -= 1
                if report is not None:
                    self._ended.append((position, report))
                self._changed.notify_all()

    def _report_death(self, reference: Reference, error: WorkerDiedError, start: float) -> TrialReport:
        """Report of a trial whose worker process died, ended by the trial's timeout or by something else."""
        handle, timeout = read_handle(reference), self._objective.metadata.timeout
        ended = f"was ended by its timeout of {timeout.total_seconds():g} s, or died" if timeout else "died"
        reason = f"The worker process of trial {handle.number} {ended}: {error}."
        return TrialReport(handle.number, handle.key, start=start, end=time.time(), error=reason)
