"""The trials of a local run: in this process, and beside each other in worker processes once these pay."""

from __future__ import annotations

import functools
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from flytekit.models.literals import LiteralMap

from flyteoptuna.flyte.scoped_settings import as_task
from flyteoptuna.search.local import process_main
from flyteoptuna.search.local.worker_process import Road, Worker, WorkerDiedError, given_back, taken
from flyteoptuna.search.trial_task import rebuild
from flyteoptuna.show.log import logger

if TYPE_CHECKING:
    from typing_extensions import Self

WORKERS = "FLYTEOPTUNA_LOCAL_WORKERS"
"""The environment variable with the number of worker processes of a local run; 1 runs trials in its own process."""
START = 2.0
"""Seconds that the start of the worker processes costs, about; where they would gain less, none is started."""
LOOK_EVERY = 0.05
"""Seconds after which it is looked again whether they would."""


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


def needs_process(count: int, timeout: Any) -> bool:
    """Whether trials run in processes of their own; a single one has one where a timeout may have to end it."""
    return count > 1 or (bool(timeout) and int(os.environ.get(WORKERS) or 2) > 1)


class Pool:
    """Runs the trials of one search.

    Where ``WORKERS`` says how many processes there are, or a trial may have to be ended by its task's timeout, they run
    all trials. Elsewhere the first trials run in the calling process, until what they take tells that workers pay,
    which then start beside the trial that is running.

    Args:
        task: the trial task.
        objective: the user's task.
        most: most trials at once.
        n_trials: trials of the search.
    """

    def __init__(self, task: Any, objective: Any, most: int, n_trials: float) -> None:
        self._task, self._objective = task, objective
        self._count = workers(most)
        timeout = task.metadata.timeout
        self._apart = needs_process(self._count, timeout)
        self._patient = self._apart and not timeout and not os.environ.get(WORKERS)
        self._left = n_trials
        self._seconds, self._ran, self._began = 0.0, 0, 0.0
        self._changed = threading.Condition()
        self._queue: deque[tuple[int, dict[str, Any]]] = deque()
        self._ended: deque[tuple[int, Any]] = deque()
        self._running = 0
        self._lanes, self._ready = 0, 0
        self._over = False
        self._error: BaseException | None = None
        self._workers: list[Worker] = []

    def __enter__(self) -> Self:
        if self._patient:
            threading.Thread(target=self._wait_until_it_pays, daemon=True).start()
        elif self._apart:
            self._start()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        with self._changed:
            self._over = True
            self._changed.notify_all()
            own, self._workers = self._workers, []
        for each in own:
            if error is None:
                given_back(each)
            else:
                each.end()

    def batch(self, items: Sequence[dict[str, Any]], ended: Callable[[int, Any], None]) -> list[Any]:
        """The reports of a batch; None for a trial whose worker process died.

        Args:
            items: the inputs of the trials, as references.
            ended: called with the position and the report of each trial, as they end.
        """
        reports: list[Any] = [None] * len(items)
        with self._changed:
            self._queue.extend(enumerate(items))
            self._changed.notify_all()
        for _ in items:
            position, report = self._next()
            reports[position] = report
            self._left -= 1
            ended(position, report)
        return reports

    def _next(self) -> tuple[int, Any]:
        """The next trial that has ended; runs one here where no worker does."""
        with self._changed:
            while True:
                if self._error is not None:
                    raise self._error
                if self._ended:
                    return self._ended.popleft()
                if self._queue and not self._busy():
                    position, item = self._queue.popleft()
                    break
                self._changed.wait()
            self._running += 1
            self._began = time.monotonic()
        try:
            with as_task():
                return position, self._task.execute(**item)
        finally:
            with self._changed:
                self._running -= 1
                self._seconds += time.monotonic() - self._began
                self._ran += 1
                self._began = 0.0
                self._changed.notify_all()

    def _busy(self) -> bool:
        """Whether workers take the trials. Where it is to be seen whether they pay, none is waited for."""
        return bool(self._ready if self._patient else self._lanes) or self._running >= self._count

    def _wait_until_it_pays(self) -> None:
        while not self._over:
            if self._gain() > START:
                self._start()
                return
            time.sleep(LOOK_EVERY)

    def _gain(self) -> float:
        """Seconds that workers would save, if all trials took as long as those so far."""
        began = self._began
        if not began:
            return 0.0
        each = (self._seconds + time.monotonic() - began) / (self._ran + 1)
        return each * self._left * (1 - 1 / self._count)

    def _start(self) -> None:
        road = Road(self._task, functools.partial(rebuild, again=False), self._objective)
        with self._changed:
            if self._over:
                return
            self._workers = [taken() for _ in range(self._count)]
            self._lanes = self._count
            lanes = [threading.Thread(target=self._lane, args=(road, each), daemon=True) for each in self._workers]
        for lane in lanes:
            lane.start()

    def _lane(self, road: Road, worker: Worker) -> None:
        """What the thread of each worker does."""
        try:
            road.prepare(worker)
        except Exception as error:
            with self._changed:
                self._lanes -= 1
                if not self._over and not self._lanes:
                    # Once, when the last of them gives up.
                    logger.warning("Trials run one after another, for no worker process can run them: %s", error)
                self._changed.notify_all()
            return
        with self._changed:
            worker.ready = not self._over
            self._ready += 1
        self._work(road, worker)
        with self._changed:
            self._lanes -= 1
            self._ready -= 1
            self._changed.notify_all()

    def _work(self, road: Road, worker: Worker) -> None:
        while True:
            with self._changed:
                while not self._over and (not self._queue or self._running >= self._count):
                    self._changed.wait()
                if self._over:
                    return
                position, item = self._queue.popleft()
                self._running += 1
            report: Any = None
            try:
                report = road.call(worker, process_main.run, _call(item))
            except WorkerDiedError as error:
                logger.warning("A worker process died in a trial, by %s.", error)
            except Exception as error:
                # Nothing that a trial does: the worker can not be started again, or not load the task again.
                with self._changed:
                    self._running -= 1
                    self._queue.appendleft((position, item))
                    if not self._over:
                        logger.warning("A worker process less: %s", error)
                return
            except BaseException as error:
                with self._changed:
                    self._error = self._error or error
            with self._changed:
                self._running -= 1
                self._ended.append((position, report))
                self._changed.notify_all()


def _call(item: dict[str, Any]) -> bytes:
    literals = {name: value.literal for name, value in item.items()}
    return bytes(LiteralMap(literals).to_flyte_idl().SerializeToString())
