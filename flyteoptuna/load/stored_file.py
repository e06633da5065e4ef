"""Bounded reads of a path or a URL."""

from __future__ import annotations

import os
import stat
from typing import IO

from flyteoptuna.errors import StudyFormatError, StudyNotFoundError
from flyteoptuna.storage import file_limits
from flyteoptuna.values.text import exception_line


def read_stored_file(path: str) -> bytes:
    """Read a path or a URL, with the credentials of Flyte's configuration.

    Raises:
        StudyNotFoundError: there is no such file, it cannot be read, or is a pipe, a socket or a device.
        StudyFormatError: it is larger than any study file.
    """
    try:
        if "://" not in path:
            return _read_local(path)
        from flytekit.core.context_manager import FlyteContextManager

        files = FlyteContextManager.current_context().file_access.get_filesystem_for_path(path)
        if path.startswith(("file://", "local://")):
            return _read_local(files.info(path)["name"])
        with files.open(path, "rb") as stream:
            return _read_bounded(stream, getattr(stream, "size", None) or 0)
    except (StudyFormatError, StudyNotFoundError):
        raise
    except FileNotFoundError:
        raise StudyNotFoundError(f"There is no file {path}") from None
    except Exception as error:
        # File systems raise any type.
        raise StudyNotFoundError(f"{path} cannot be read: {exception_line(error)}") from error


def _read_local(path: str) -> bytes:
    # Checked before it is opened, which waits for the writer of a pipe, and again after.
    if _is_special(os.stat(path).st_mode):
        raise StudyNotFoundError(f"{path} is a pipe, a socket or a device, and no file.")
    with open(path, "rb", opener=_open_at_once) as local:
        status = os.fstat(local.fileno())
        if _is_special(status.st_mode):
            raise StudyNotFoundError(f"{path} is no file any more.")
        return _read_bounded(local, status.st_size)


def _is_special(mode: int) -> bool:
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _open_at_once(path: str, flags: int) -> int:
    # Windows has no such flag, and no pipes among its files.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _read_bounded(stream: IO[bytes], size: int) -> bytes:
    content = stream.read(file_limits.MAX_BYTES + 1) if size <= file_limits.MAX_BYTES else b""
    if max(size, len(content)) > file_limits.MAX_BYTES:
        raise StudyFormatError(f"The file is too large: more than {file_limits.MAX_BYTES} bytes.")
    return content
