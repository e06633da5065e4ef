"""Retries of requests to a store: which errors pass, and for how long a request is tried again."""

from __future__ import annotations

import errno
import random
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from flyteoptuna.errors import FlyteOptunaError, StoreError
from flyteoptuna.logs import logger
from flyteoptuna.values.text import exception_line

# Time for which a request is tried again, seconds.
PATIENCE = 300.0
# Pause before the second attempt, seconds; it doubles before each further one, up to the longest.
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 20.0
# Time after which the log says that a request is tried again, seconds.
LOGGED_AFTER = 2.0

# Errors that another attempt cannot help, by type and by the system's number.
_PERMANENT_TYPES = (
    *(PermissionError, FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError),
    *(TypeError, ValueError, NotImplementedError, MemoryError),
)
_PERMANENT_NUMBERS = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.ENAMETOOLONG, errno.ENOTSUP),
    *(errno.ELOOP, errno.EMLINK, errno.EXDEV, errno.ENOSYS, errno.ENODEV, errno.EMSGSIZE),
}
# HTTP statuses below 500 that pass: timeouts, conflicts and conditions that others have changed, too many requests.
_TRANSIENT_STATUSES = {408, 409, 412, 425, 429}
# Error codes of S3 that pass, although their status is 400.
_TRANSIENT_CODES = {"RequestTimeout", "IncompleteBody", "BadDigest", "SlowDown", "Throttling", "ThrottlingException"}
# Names of errors about missing credentials, which the clients of stores derive from no common class.
_PERMANENT_NAMES = {"NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "DefaultCredentialsError"}

# Packages of the clients of stores, and flytekit's errors of transfers.
_CLIENTS = {"botocore", "s3fs", "aiobotocore", "aiohttp", "gcsfs", "adlfs", "azure", "google", "requests", "urllib3"}
_TRANSFERS = {"FlyteDownloadDataException", "FlyteUploadDataException"}
# Smallest HTTP status of an error.
_LEAST_STATUS = 400

# The only clock and the only pause here; tests replace them.
clock, sleep = time.monotonic, time.sleep

_limit: ContextVar[float] = ContextVar("limit", default=float("inf"))
_T = TypeVar("_T")


def is_transient(error: BaseException) -> bool:
    """Test whether an error of a store may pass: an outage, a timeout, or a broken connection.

    Errors about the request itself are permanent: missing rights, buckets, files or credentials, a full disk. Any other
    error may pass. The causes of an error count too.
    """
    status, code = http_status(error)
    if 0 < status < 500 and status not in _TRANSIENT_STATUSES and code not in _TRANSIENT_CODES:
        return False
    return not any(map(_is_permanent, causes(error)))


def is_outage(error: BaseException) -> bool:
    """Test whether an error of any code is one of a store that may pass, and that was not retried yet."""
    chain = [*causes(error)]
    return is_transient(error) and any(map(_is_of_store, chain)) and not any(isinstance(e, StoreError) for e in chain)


def _is_of_store(error: BaseException) -> bool:
    if isinstance(error, (ConnectionError, TimeoutError, socket.gaierror)) or http_status(error)[0] >= _LEAST_STATUS:
        return True
    kinds = type(error).__mro__
    return any(k.__module__.partition(".")[0] in _CLIENTS or k.__name__ in _TRANSFERS for k in kinds)


def _is_permanent(error: BaseException) -> bool:
    if isinstance(error, _PERMANENT_TYPES) or type(error).__name__ in _PERMANENT_NAMES:
        return True
    # gcsfs has no type for a missing right.
    return isinstance(error, OSError) and (error.errno in _PERMANENT_NUMBERS or str(error).startswith("Forbidden: "))


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, its cause, the cause of that, and so on."""
    current: BaseException | None = error
    while current is not None:
        yield current
        cause = current.__cause__
        if cause is None and type(current).__module__.startswith("flytekit."):
            cause = current.__context__
            # Flytekit wraps the errors of its transfers, and tries a failed download again without credentials.
            if isinstance(cause, PermissionError) and cause.__context__ is not None:
                cause = cause.__context__
        current = cause


def http_status(error: BaseException) -> tuple[int, str]:
    """HTTP status and error code of an exception of botocore, gcsfs, Azure or aiohttp; 0 and "" for any other."""
    for each in causes(error):
        response = getattr(each, "response", None)
        if isinstance(response, dict):
            status, code = response.get("ResponseMetadata", {}).get("HTTPStatusCode"), response.get("Error", {})
            return _to_int(status), str(code.get("Code"))
        if status := next(filter(None, (_to_int(getattr(each, n, 0)) for n in ("status_code", "status", "code"))), 0):
            return status, ""
    return 0, ""


def _to_int(status: Any) -> int:
    return int(status) if isinstance(status, int) or str(status).isdecimal() else 0


@contextmanager
def limited_patience(seconds: float) -> Iterator[None]:
    """Try requests in the body again for at most this time, whatever their patience; 0 for one attempt."""
    token = _limit.set(min(seconds, _limit.get()))
    try:
        yield
    finally:
        _limit.reset(token)


def retry(
    what: Callable[[], str],
    call: Callable[[], _T],
    patience: float = PATIENCE,
    may_pass: Callable[[BaseException], bool] = is_transient,
) -> _T:
    """Call until it succeeds, with growing pauses.

    Args:
        what: says what has failed, such as "s3://bucket/a cannot be read"; called after a failure.
        call: makes the request.
        patience: time for which the request is tried again, seconds.
        may_pass: test whether an error may pass.

    Raises:
        StoreError: the errors were transient, and the time is over.
        Exception: a permanent error of ``call``, or an error of this package.
    """
    start, paused, attempt = clock(), 0.0, 1
    while True:
        try:
            return call()
        except FlyteOptunaError:
            raise
        except Exception as error:
            if not may_pass(error):
                raise
            # Whichever is longer, because the clock of a test may stand still.
            left = min(patience, _limit.get()) - max(clock() - start, paused)
            if left <= 0:
                tried = "" if attempt == 1 else f" in {attempt} attempts"
                raise StoreError(f"{what()}{tried}: {exception_line(error)}") from error
            pause = min(FIRST_PAUSE * 2.0 ** min(attempt - 1, 20), LONGEST_PAUSE) * random.uniform(0.5, 1.5)
            if paused < LOGGED_AFTER <= paused + pause:
                logger.warning("%s, and is tried again for %.0f s: %s", what(), left, exception_line(error))
        paused += min(pause, left)
        attempt += 1
        sleep(min(pause, left))
