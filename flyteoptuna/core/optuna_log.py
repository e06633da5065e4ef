"""Optuna's log, kept silent where it would say what a user has not asked for."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def log_of(level: int) -> Iterator[None]:
    """In the body, optuna logs what is of that level or above; as ``optuna.logging.set_verbosity`` does."""
    logger = logging.getLogger("optuna")
    before = logger.level
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.setLevel(before)
