"""Bounded reads of a path or a URL."""

from __future__ import annotations

import os
from typing import IO

from flyteoptuna.errors import StudyFormatError, StudyNotFoundError
from flyteoptuna.storage import file_limits
from flyteoptuna.values.text import exception_line


def read_stored_file(path: str) -> bytes:
    """Read a path or a URL, with the credentials of Flyte's configuration.

    Raises:
        StudyNotFoundError: there is no such file, or it cannot be read.
        StudyFormatError: it is larger than any study file.
    """
    try:
        if "://" not in path:
            with open(path, "rb") as local:
                return _read_bounded(local, os.fstat(local.fileno()).st_size)
        from flytekit.core.context_manager import FlyteContextManager

        files = FlyteContextManager.current_context().file_access.get_filesystem_for_path(path)
        with files.open(path, "rb") as stream:
            return _read_bounded(stream, getattr(stream, "size", None) or 0)
    except StudyFormatError:
        raise
    except FileNotFoundError:
        raise StudyNotFoundError(f"There is no file {path}") from None
    except Exception as error:
        # File systems raise any type.
        raise StudyNotFoundError(f"{path} cannot be read: {exception_line(error)}") from error


def _read_bounded(stream: IO[bytes], size: int) -> bytes:
    content = stream.read(file_limits.MAX_BYTES + 1) if size <= file_limits.MAX_BYTES else b""
    if max(size, len(content)) > file_limits.MAX_BYTES:
        raise StudyFormatError(f"The file is too large: more than {file_limits.MAX_BYTES} bytes.")
    return content
