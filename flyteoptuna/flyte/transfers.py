"""Uploads and downloads of files that an outage of the store does not end at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from flytekit.core.context_manager import FlyteContext
from flytekit.exceptions.system import FlyteDownloadDataException, FlyteUploadDataException

from flyteoptuna.errors import StoreError
from flyteoptuna.values.retries import PATIENCE, causes, is_outage, retry
from flyteoptuna.values.text import exception_line

_T = TypeVar("_T")


def retry_transfers(what: Callable[[], str], call: Callable[[], _T], patience: float = PATIENCE) -> _T:
    """Call code of flytekit or of a user's type that may read or write files, again after errors of the store alone.

    Raises:
        StoreError: the store did not answer for as long as a request is tried again.
        Exception: another error of ``call``.
    """
    try:
        return retry(what, call, patience, is_outage)
    except Exception as error:
        # A transfer of this module was tried again already.
        raise next((each for each in causes(error) if isinstance(each, StoreError)), error) from error.__cause__


def upload(ctx: FlyteContext, data: bytes) -> str:
    """Upload a new file to Flyte's raw data; return its path.

    Raises:
        FlyteUploadDataException: the file cannot be written. Flyte tries a pod again whose type raises this.
    """
    local, prefix = ctx.file_access.get_random_local_path(), ctx.file_access.raw_output_prefix
    try:
        Path(local).write_bytes(data)
        return str(retry(lambda: f"{prefix} cannot be written", lambda: ctx.file_access.put_raw_data(local)))
    except StoreError as error:
        raise FlyteUploadDataException(str(error)) from error
    except Exception as error:
        # File systems raise any type.
        raise FlyteUploadDataException(f"{prefix} cannot be written: {exception_line(error)}") from error


def download(ctx: FlyteContext, path: str) -> bytes:
    """Download a file.

    Raises:
        FlyteDownloadDataException: the file cannot be read. Flyte tries a pod again whose type raises this.
        FlyteDataNotFoundException: there is no such file.
    """
    local = ctx.file_access.get_random_local_path()
    try:
        retry(lambda: f"{path} cannot be read", lambda: ctx.file_access.get_data(path, local))
    except StoreError as error:
        raise FlyteDownloadDataException(str(error)) from error
    return Path(local).read_bytes()
