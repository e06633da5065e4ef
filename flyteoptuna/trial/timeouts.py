"""Timeouts of trials in processes that go on after them. On a cluster, Flyte itself times each trial's pod.

Nothing on the way to the end of a process may raise or block for good: the trial that exceeds its timeout may have
replaced the standard streams, hold a lock, and have used up the system's threads.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import NoReturn

from flyteoptuna.streams import flush_streams

# Time that each step on the way to the end of a process may take, seconds.
STEP_SECONDS = 5.0
# Time that the report of a trial which exceeded its timeout may take, seconds: a store may not answer for minutes.
REPORT_SECONDS = 900.0


@contextmanager
def trial_timeout(
    timeout: timedelta | None, report: Callable[[float], object], end: Callable[[], NoReturn]
) -> Iterator[None]:
    """End the process if the body, which runs a trial, takes longer than a timeout.

    Args:
        timeout: maximum duration of the body; None for no limit.
        report: called with the timeout in seconds, in a thread beside the trial. It may raise, and block.
        end: called after it, to end the process.
    """
    if not timeout:
        yield
        return
    seconds, ended = timeout.total_seconds(), threading.Lock()

    def end_trial() -> None:
        if ended.acquire(blocking=False):
            run_step(lambda: report(seconds), REPORT_SECONDS)
            end()

    # Python waits for 292 years at most.
    timer = threading.Timer(min(seconds, threading.TIMEOUT_MAX), end_trial)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        # Blocks for good where the timer has begun to end the process.
        ended.acquire()


def end_process(replace: Callable[[], object] | None = None) -> NoReturn:
    """End this process in the middle of a trial, with its child processes.

    No step of it holds the others up: the trial may have replaced the standard streams, or hold the lock of one.

    Args:
        replace: replaces the process by another one.
    """
    for step in (kill_child_processes, flush_streams):
        run_step(step, STEP_SECONDS)
    if replace is not None:
        with suppress(BaseException):
            replace()
    os._exit(1)


def run_step(step: Callable[[], object], seconds: float) -> None:
    """Run a step, and return when it has ended or raised, or after a time limit, seconds."""

    def run() -> None:
        with suppress(BaseException):
            step()

    thread = threading.Thread(target=run, daemon=True)
    try:
        thread.start()
    except RuntimeError:
        # The system has no further thread.
        run()
    else:
        thread.join(seconds)


def kill_child_processes() -> None:
    """Kill the processes that this process has started, and their descendants."""
    import psutil

    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            child.kill()
