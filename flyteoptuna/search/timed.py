"""The timeout of a trial in a process that goes on after it: Flyte times pods, and nothing times a local run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path


@contextmanager
def timed(timeout: timedelta | None, end: Callable[[float], None]) -> Iterator[None]:
    """In the body, a trial runs; where it takes longer than its timeout, its process is ended.

    Args:
        timeout: of the objective's metadata, where flytekit keeps no other kind; None for no limit.
        end: called with the seconds, in a thread beside the trial; it ends the process, and does not return.
    """
    if not timeout:
        yield
        return
    seconds, ended = timeout.total_seconds(), threading.Lock()

    def over() -> None:
        if ended.acquire(blocking=False):
            end(seconds)

    timer = threading.Timer(seconds, over)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        # One that is just being ended never comes back.
        ended.acquire()


def end_started() -> None:
    """End what this process has started, and what that has: nobody else would, where the process goes on."""
    children: dict[int, list[int]] = {}
    for pid, parent in _parents():
        children.setdefault(parent, []).append(pid)
    found = children.get(os.getpid(), [])
    for pid in found:
        found += children.get(pid, [])
    for pid in found:
        with suppress(OSError):
            os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))


def _parents() -> Iterator[tuple[int, int]]:
    """Each process of this machine, with the one that has started it."""
    if sys.platform == "linux":
        for file in Path("/proc").glob("[0-9]*/stat"):
            # It may have ended meanwhile; its name may hold anything.
            with suppress(OSError):
                yield int(file.parent.name), int(file.read_text(errors="replace").rpartition(")")[2].split()[1])
        return
    with suppress(OSError):
        told = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=False)  # noqa: S607
        for line in told.stdout.splitlines():
            pid, parent = line.split()
            yield int(pid), int(parent)
