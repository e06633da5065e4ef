"""Atomic replacement of a file."""

from __future__ import annotations

import errno
import os
import shutil
import stat
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
        A path for the new content, with the same file name, in a temporary folder beside the file, which only this user
        can enter. The body writes and closes it; other files in that folder, such as locks, are removed.

    Raises:
        OSError: the file cannot be written or replaced.
    """
    target = find_target(path)
    # In the same folder, because a rename is atomic within one file system only.
    with tempfile.TemporaryDirectory(prefix=".write-", dir=target.parent, ignore_cleanup_errors=True) as folder:
        new = Path(folder, target.name)
        yield new
        if target.exists():
            shutil.copymode(target, new)
        new.replace(target)


def find_target(path: str | os.PathLike[str]) -> Path:
    """The file that a path stands for, through symbolic links.

    Raises:
        OSError: its folder is missing, it is a folder, a pipe or a device, or a link of another user leads to it.
    """
    for link in (absolute := Path(os.path.abspath(path)), *absolute.parents):
        # `realpath` follows links that the kernel would not let `open` follow.
        if link.is_symlink() and is_planted(link.lstat(), link.parent.stat(), getattr(os, "geteuid", lambda: 0)()):
            raise PermissionError(f"{link} is a link of another user, in a folder that everyone can write to.")
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "There is no folder", str(target.parent))
    if target.is_dir():
        raise IsADirectoryError(f"{target} is a folder: name a file in it.")
    if target.exists() and not target.is_file():
        raise OSError(f"{target} is no file that could be replaced.")
    return target


def is_planted(link: os.stat_result, folder: os.stat_result, user: int) -> bool:
    """Test whether anyone may have made a link in a shared folder, by the rule of Linux's ``protected_symlinks``."""
    shared = bool(folder.st_mode & stat.S_ISVTX and folder.st_mode & stat.S_IWOTH)
    return shared and link.st_uid not in (user, folder.st_uid)
