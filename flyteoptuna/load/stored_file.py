"""Bounded reads of a path or a URL, and of the study in it."""

from __future__ import annotations

import os
import stat
from typing import IO

from flyteoptuna.errors import StudyFormatError, StudyNotFoundError
from flyteoptuna.storage import file_format, file_limits
from flyteoptuna.storage.search_study import SearchStudy
from flyteoptuna.values.text import exception_line


def parse_study(content: bytes, *, trusted: bool) -> SearchStudy:
    """The study in a file: with its sampler, pruner and callbacks if it is ``trusted``, which unpickles, else without.

    Raises:
        StudyFormatError: the content is not a study.
    """
    return file_format.restore_study(content) if trusted else file_format.read_study(content)


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
    # Before it is opened, which waits for the writer of a pipe, and again after.
    refuse_special(path, os.stat(path))
    with open(path, "rb", opener=_open_at_once) as local:
        status = os.fstat(local.fileno())
        refuse_special(path, status)
        return _read_bounded(local, status.st_size)


def refuse_special(path: str, status: os.stat_result) -> None:
    """Raise a ``StudyNotFoundError`` for a path of neither a file nor a folder."""
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        raise StudyNotFoundError(f"{path} is a pipe, a socket or a device, and no file.")


def _open_at_once(path: str, flags: int) -> int:
    # Windows has no such flag, and no pipes among its files.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _read_bounded(stream: IO[bytes], size: int) -> bytes:
    content = stream.read(file_limits.MAX_BYTES + 1) if size <= file_limits.MAX_BYTES else b""
    if max(size, len(content)) > file_limits.MAX_BYTES:
        raise StudyFormatError(f"The file is too large: more than {file_limits.MAX_BYTES} bytes.")
    return content
