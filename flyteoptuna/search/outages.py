"""Outages of the store: errors after which Flyte runs a pod again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from flytekit.exceptions.system import FlyteDownloadDataException, FlyteUploadDataException
from flytekit.exceptions.user import FlyteRecoverableException

from flyteoptuna.errors import JournalError, StoreError
from flyteoptuna.values.retries import causes, is_transient

_TRANSFERS = (FlyteDownloadDataException, FlyteUploadDataException)


@contextmanager
def recoverable(results: str = "") -> Iterator[None]:
    """Let Flyte run this pod again if the body fails because of an outage.

    ``results`` is a sentence for the error that says where the results are.

    Raises:
        FlyteRecoverableException: the store did not answer for as long as a request is tried again.
        Exception: another error of the body about the store, with the sentence.
    """
    try:
        yield
    except FlyteRecoverableException:
        raise
    except Exception as error:
        # Flytekit wraps errors of the types that it converts.
        found = next((each for each in causes(error) if isinstance(each, (JournalError, *_TRANSFERS))), None)
        if found is None:
            raise
        message = "\n".join(filter(None, (*map(str, found.args), results)))
        if isinstance(found, StoreError) or (isinstance(found, _TRANSFERS) and is_transient(found)):
            # Flytekit repeats each cause in the message.
            raise FlyteRecoverableException(message) from None
        raise type(found)(message) from error
