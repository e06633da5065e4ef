"""The library's logger, and a temporary level for Optuna's."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

# Without the date, to keep lines short.
LOG_FORMAT, TIME_FORMAT = "[%(levelname).1s %(asctime)s] %(message)s", "%H:%M:%S"


# StreamHandler takes no type argument at run time before Python 3.11.
class _StderrHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Handler that looks up ``sys.stderr`` on each write, because a progress bar or a test may replace it."""

    @property
    def stream(self) -> TextIO:
        """Standard error."""
        return sys.stderr

    @stream.setter
    def stream(self, value: TextIO) -> None:
        pass

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Report an error of this handler as logging does, but never raise it: standard error may be closed."""
        with suppress(Exception):
            super().handleError(record)


def _make_logger() -> logging.Logger:
    # Like Optuna's logger: it needs no configuration, and does not propagate to the root logger.
    library_logger = logging.getLogger("flyteoptuna")
    if not library_logger.handlers:
        handler = _StderrHandler()
        handler.setFormatter(logging.Formatter(LOG_FORMAT, TIME_FORMAT))
        library_logger.addHandler(handler)
        # A level set before this import stays.
        library_logger.setLevel(library_logger.level or logging.INFO)
        library_logger.propagate = False
    return library_logger


# The library's logger; `logging.getLogger("flyteoptuna").setLevel(...)` sets its level, INFO by default.
logger = _make_logger()


@contextmanager
def optuna_log_level(level: int) -> Iterator[None]:
    """Set the level of Optuna's logger in the body."""
    optuna_logger = logging.getLogger("optuna")
    level_before = optuna_logger.level
    optuna_logger.setLevel(level)
    try:
        yield
    finally:
        optuna_logger.setLevel(level_before)
