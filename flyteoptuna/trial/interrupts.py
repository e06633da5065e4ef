"""Ctrl-C, and timeouts of trials in long-lived worker processes.

Python discards a KeyboardInterrupt raised in ``__del__``, and the search would go on: a flag records it. On a cluster,
Flyte itself times each trial's pod.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from types import FrameType

_pending = False


def handle_interrupt(number: int, frame: FrameType | None) -> None:
    """Handle SIGINT as Python does, and set the flag."""
    global _pending
    _pending = True
    signal.default_int_handler(number, frame)


def raise_pending_interrupt() -> None:
    """Raise ``KeyboardInterrupt`` if the flag is set."""
    if _pending:
        raise KeyboardInterrupt


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C raise KeyboardInterrupt; Flytekit's own handler raises SystemExit, which fails an objective."""
    global _pending
    handler = signal.getsignal(signal.SIGINT)
    flytekits = getattr(handler, "__qualname__", "").endswith(".main_signal_handler")
    if not flytekits or threading.current_thread() is not threading.main_thread():
        # A user's handler stays.
        yield
        return
    signal.signal(signal.SIGINT, handle_interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        _pending = False


@contextmanager
def trial_timeout(timeout: timedelta | None, end: Callable[[float], None]) -> Iterator[None]:
    """End the process if the body, which runs a trial, takes longer than a timeout; None for no limit.

    ``end`` is called with the timeout in seconds, in a thread beside the trial. It ends the process and never returns.
    """
    if not timeout:
        yield
        return
    seconds, ended = timeout.total_seconds(), threading.Lock()

    def end_process() -> None:
        if ended.acquire(blocking=False):
            end(seconds)

    timer = threading.Timer(seconds, end_process)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        # Blocks for good where the timer has begun to end the process.
        ended.acquire()


def kill_child_processes() -> None:
    """Kill the processes that this process has started, and their descendants."""
    import psutil

    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            child.kill()
