"""Checkpoints of the trials of reused pods, in a folder beside the journal."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from flytekit.core.checkpointer import SyncCheckpoint
from flytekit.core.context_manager import FlyteContextManager

from flyteoptuna.flyte.transfers import retry_transfers
from flyteoptuna.journal.object_store import ObjectStore


class RetriedCheckpoint(SyncCheckpoint):
    """A checkpoint that is saved and restored again after errors of the store; raises ``StoreError`` if they last."""

    def restore(self, path: Path | str | None = None) -> Path | None:
        """Read the earlier checkpoint into a folder, and return the folder."""
        restore: Callable[[], Path | None] = partial(super().restore, path)
        return retry_transfers(lambda: "The checkpoint cannot be read", restore)

    def save(self, cp: Path | str | io.BufferedReader) -> None:
        """Save a file, a folder or what a stream holds."""
        saved: Any = cp.read() if isinstance(cp, io.IOBase) else cp
        save = super().save

        def save_again() -> None:
            save(io.BytesIO(saved) if isinstance(saved, bytes) else saved)

        retry_transfers(lambda: "The checkpoint cannot be written", save_again)


def trial_checkpoint(journal: str, number: int, *, again: bool) -> SyncCheckpoint:
    """Checkpoint of an attempt at a trial: it writes to a folder of its own, and reads the latest of the others.

    Args:
        journal: folder of the journal.
        number: number of the trial.
        again: whether there has been an attempt before.

    Raises:
        StoreError: the store does not answer.
    """
    folder = f"{journal.rstrip('/')}.checkpoints/{number}"
    latest = _latest_attempt(folder) if again else -1
    return RetriedCheckpoint(f"{folder}/{latest + 1}", f"{folder}/{latest}" if latest >= 0 else None)


def _latest_attempt(folder: str) -> int:
    """Number of the latest attempt that has saved a checkpoint; -1 if none has."""
    files = FlyteContextManager.current_context().file_access.get_filesystem_for_path(folder)
    names = ObjectStore(folder, files).list_names()
    return max((int(name) for name in names if name.isdecimal()), default=-1)
