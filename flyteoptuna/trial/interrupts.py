"""Ctrl-C and SIGTERM.

Python discards a KeyboardInterrupt raised in ``__del__``, and the search would go on: a flag records it.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_pending: type[KeyboardInterrupt] | None = None
# Whether a search is being ended: what it saves then must not be interrupted.
_ending = False


class Terminated(KeyboardInterrupt):
    """SIGTERM, which passes through a trial as Ctrl-C does."""


def handle_interrupt(number: int, frame: FrameType | None) -> None:
    """Handle SIGINT as Python does, and set the flag."""
    global _pending
    _pending = KeyboardInterrupt
    signal.default_int_handler(number, frame)


def _handle_termination(number: int, frame: FrameType | None) -> None:
    global _pending
    # `timeout` and service managers may send it twice, to a process and to its group.
    if not _ending:
        _pending = Terminated
        raise Terminated


def raise_pending_interrupt() -> None:
    """Raise ``KeyboardInterrupt`` if the flag is set."""
    if _pending is not None:
        raise _pending


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C raise KeyboardInterrupt; Flytekit's own handler raises SystemExit, which fails an objective."""
    global _pending, _ending
    handler = signal.getsignal(signal.SIGINT)
    flytekits = getattr(handler, "__qualname__", "").endswith(".main_signal_handler")
    # A user's handler stays.
    replaces = flytekits and threading.current_thread() is threading.main_thread()
    if replaces:
        signal.signal(signal.SIGINT, handle_interrupt)
    try:
        yield
    except KeyboardInterrupt:
        _ending = True
        raise
    finally:
        if replaces:
            signal.signal(signal.SIGINT, handler)
            _pending = None


@contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM end the body as Ctrl-C does, and then the process with the exit code of the signal, 143.

    A user's handler stays. Only the main thread can be interrupted.
    """
    global _pending, _ending
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _handle_termination)
    try:
        yield
    except Terminated:
        raise SystemExit(128 + signal.SIGTERM) from None
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _pending, _ending = None, False
