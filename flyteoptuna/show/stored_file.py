"""What is stored at a path or a URL, bounded, and the error where there is nothing."""

from __future__ import annotations

import os
from typing import IO

from flyteoptuna.storage import file_limits
from flyteoptuna.storage.read_results import StudyFormatError


class StudyNotFoundError(LookupError):
    """There is no study where one was looked for, or it is out of reach; says where, and what there is instead.

    Attributes:
        pending: whether there may be one later, for what was asked has not ended.
    """

    pending = False


def contents(path: str) -> bytes:
    """The bytes at a path or a URL, read with the credentials that Flyte is configured with.

    Raises:
        StudyNotFoundError: there is no such file, or it cannot be read.
        StudyFormatError: it is larger than a study may be.
    """
    try:
        if "://" not in path:
            with open(path, "rb") as local:
                return _bounded(local, os.fstat(local.fileno()).st_size)
        from flytekit.core.context_manager import FlyteContextManager

        files = FlyteContextManager.current_context().file_access.get_filesystem_for_path(path)
        with files.open(path, "rb") as stream:
            return _bounded(stream, getattr(stream, "size", None) or 0)
    except StudyFormatError:
        raise
    except FileNotFoundError:
        raise StudyNotFoundError(f"There is no file {path}") from None
    except Exception as error:
        # Each file system has exceptions of its own.
        raise StudyNotFoundError(f"{path} cannot be read: {reason(error)}") from error


def _bounded(stream: IO[bytes], size: int) -> bytes:
    content = stream.read(file_limits.MAX_BYTES + 1) if size <= file_limits.MAX_BYTES else b""
    if max(size, len(content)) > file_limits.MAX_BYTES:
        raise StudyFormatError(f"The file is too large: more than {file_limits.MAX_BYTES} bytes.")
    return content


def reason(error: BaseException) -> str:
    """An error by its type and what it says."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
