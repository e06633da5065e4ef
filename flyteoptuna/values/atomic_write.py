"""Atomic replacement of a file."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Replace a file only after its new content is complete.

    The new file keeps the permissions of the old one. A symbolic link stays, and its target is replaced. If the body
    raises, the old file stays as it is, and no other file remains.

    Args:
        path: the file to create or replace. Its folder must exist.

    Yields:
        A path for the new content, with the same file name, in a temporary folder beside the file. The body writes
        and closes it; other files in that folder, such as locks, are removed.

    Raises:
        OSError: the file cannot be written or replaced.
    """
    target = Path(os.path.realpath(path))
    # In the same folder, because a rename is atomic within one file system only.
    with tempfile.TemporaryDirectory(prefix=".write-", dir=target.parent, ignore_cleanup_errors=True) as folder:
        new = Path(folder, target.name)
        yield new
        if target.exists():
            shutil.copymode(target, new)
        new.replace(target)
