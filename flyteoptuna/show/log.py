"""What a search says of itself while it runs: a line a generation, or a bar where a terminal shows a local run."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from typing_extensions import Self

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


class Bar:
    """A bar that shows how far a search is, where standard error is a terminal; elsewhere, lines of the log.

    A context manager: a terminal whose bar is not ended shows no cursor.
    """

    def __init__(self) -> None:
        self._bar: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def show(self, progress: Shown) -> None:
        """Show how far a search is; the line is the progress as a string."""
        if not sys.stderr.isatty() or not logger.isEnabledFor(logging.INFO):
            logger.info("%s", progress)
            return
        if self._bar is None:
            self._bar = _started(progress.n_trials)
        task = self._bar.task_ids[0]
        self._bar.update(task, completed=progress.finished, description=str(progress), refresh=True)

    def close(self) -> None:
        """End the bar, if there is one."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _started(total: int) -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (BarColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    bar = Progress(*columns, console=Console(stderr=True))
    bar.add_task("", total=total)
    bar.start()
    return bar
