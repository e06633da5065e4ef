"""Ctrl-C that is not lost: Python drops what is raised while it frees an object, and then the search would go on."""

from __future__ import annotations

import signal
from types import FrameType

_taken = False


def take(number: int, frame: FrameType | None) -> None:
    """Handle Ctrl-C as Python does, and remember it."""
    global _taken
    _taken = True
    signal.default_int_handler(number, frame)


def check() -> None:
    """Raise what was raised before, and dropped.

    Raises:
        KeyboardInterrupt: Ctrl-C was taken.
    """
    if _taken:
        raise KeyboardInterrupt


def forget() -> None:
    """Take what comes for the first."""
    global _taken
    _taken = False
