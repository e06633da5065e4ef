"""What a search says of itself while it runs: a line a generation, or a bar where a terminal shows a local run."""

from __future__ import annotations

import logging
import sys
from typing import Any, Protocol

FORMAT = "[%(levelname).1s %(asctime)s] %(message)s"


def _made() -> logging.Logger:
    # As optuna's own logger: it speaks without being configured, and to its own handler alone.
    made = logging.getLogger("flyteoptuna")
    if not made.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter(FORMAT))
        made.addHandler(handler)
        made.setLevel(logging.INFO)
        made.propagate = False
    return made


logger = _made()
"""The library's logger. ``logging.getLogger("flyteoptuna").setLevel(...)`` makes it say less or more."""


class Shown(Protocol):
    """What can be shown of a search."""

    @property
    def finished(self) -> int: ...
    @property
    def n_trials(self) -> int: ...


_bar: Any = None


def report(progress: Shown, *, last: bool) -> None:
    """Show how far a search is: in a bar where standard error is a terminal, else in a line of the log.

    Args:
        progress: what to show; as a string it is the line.
        last: whether the search has ended.
    """
    global _bar
    if not sys.stderr.isatty() or not logger.isEnabledFor(logging.INFO):
        logger.info("%s", progress)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    if _bar is None:
        columns = (BarColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
        _bar = Progress(*columns, console=Console(stderr=True))
        _bar.add_task("", total=progress.n_trials)
        _bar.start()
    _bar.update(_bar.task_ids[0], completed=progress.finished, description=str(progress), refresh=True)
    if last:
        close()


def close() -> None:
    """End the bar, if there is one: a terminal whose bar is not ended shows no cursor."""
    global _bar
    if _bar is not None:
        _bar.stop()
        _bar = None
