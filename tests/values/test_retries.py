"""Retries of requests: which errors may pass, and for how long a request is tried again."""

import errno
import socket
import ssl

import aiohttp
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError, ReadTimeoutError
from flytekit.exceptions.system import FlyteDownloadDataException, FlyteUploadDataException
from flytekit.exceptions.user import FlyteDataNotFoundException
from gcsfs.retry import HttpError, validate_response
from s3fs.errors import translate_boto_error

from flyteoptuna.errors import JournalError, StoreError
from flyteoptuna.values import retries


def s3(code, status):
    response = {"Error": {"Code": code, "Message": "?"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return translate_boto_error(ClientError(response, "GetObject"))


def azure(status):
    error = Exception("azure")
    error.status_code = status
    return error


def gcs(status, content=b"no"):
    with pytest.raises(Exception) as raised:
        validate_response(status, content, "path")
    return raised.value


def caused(kind, cause, *context):
    """An error as flytekit raises it, with its cause, or while others are handled."""
    try:
        try:
            for error in context:
                try:
                    raise error
                except Exception:
                    continue
            raise cause
        except Exception as error:
            if kind is FlyteUploadDataException:
                raise kind("wrapped") from error
            raise kind("wrapped")  # noqa: B904 - as flytekit does
    except kind as error:
        return error


def tried_anonymously(first, second):
    try:
        try:
            try:
                raise first
            except OSError:
                raise second  # noqa: B904 - as flytekit does
        except Exception:
            raise FlyteDownloadDataException("wrapped")  # noqa: B904
    except FlyteDownloadDataException as error:
        return error


TRANSIENT = [
    s3("SlowDown", 503),
    s3("InternalError", 500),
    s3("RequestTimeout", 400),
    s3("OperationAborted", 409),
    s3("PreconditionFailed", 412),
    s3("TooManyRequests", 429),
    gcs(500),
    gcs(502),
    gcs(503),
    gcs(429),
    HttpError({"code": "503"}),
    azure(500),
    azure(503),
    azure(429),
    EndpointConnectionError(endpoint_url="http://a"),
    ReadTimeoutError(endpoint_url="http://a"),
    aiohttp.ServerDisconnectedError(),
    aiohttp.ClientPayloadError(),
    TimeoutError(),
    ConnectionResetError(errno.ECONNRESET, "reset"),
    BrokenPipeError(),
    socket.gaierror(socket.EAI_AGAIN, "try again"),
    OSError(errno.ENETUNREACH, "unreachable"),
    OSError(errno.ESTALE, "stale handle"),
    OSError("nobody knows"),
    RuntimeError("Session is closed"),
    caused(FlyteUploadDataException, s3("SlowDown", 503)),
    tried_anonymously(s3("SlowDown", 503), PermissionError("no")),
]
PERMANENT = [
    s3("AccessDenied", 403),
    s3("NoSuchBucket", 404),
    s3("NoSuchKey", 404),
    s3("InvalidBucketName", 400),
    s3("AuthorizationHeaderMalformed", 400),
    s3("PermanentRedirect", 301),
    s3("MethodNotAllowed", 405),
    gcs(403),
    gcs(404),
    gcs(401),
    gcs(400, b"invalid name"),
    azure(403),
    azure(404),
    NoCredentialsError(),
    PermissionError(),
    FileNotFoundError(),
    NotADirectoryError(),
    OSError(errno.ENOSPC, "No space left on device"),
    OSError(errno.EDQUOT, "Disk quota exceeded"),
    OSError(errno.EROFS, "Read-only file system"),
    OSError(errno.ENAMETOOLONG, "File name too long"),
    ssl.SSLCertVerificationError("self-signed"),
    TypeError(),
    ValueError(),
    FlyteDataNotFoundException("s3://a"),
    caused(FlyteUploadDataException, s3("AccessDenied", 403)),
    caused(FlyteUploadDataException, OSError(errno.ENOSPC, "No space left on device")),
    tried_anonymously(s3("AccessDenied", 403), PermissionError("no")),
]


@pytest.mark.parametrize(
    ("error", "passes"), [*((error, True) for error in TRANSIENT), *((error, False) for error in PERMANENT)], ids=repr
)
def test_errors_that_may_pass_and_errors_that_do_not(error, passes):
    """Of each store's client, of the network, of the system, and wrapped by flytekit."""
    assert retries.is_transient(error) is passes


@pytest.fixture
def pauses(monkeypatch):
    found = []
    monkeypatch.setattr(retries, "sleep", found.append)
    return found


def raising(errors, result="done"):
    left = [*errors]

    def call():
        if left:
            raise left.pop(0)
        return result

    return call


def test_a_request_is_tried_again_with_growing_pauses(pauses):
    """Until it is done; its answer is returned."""
    assert retries.retry(lambda: "a", raising([TimeoutError()] * 6)) == "done"
    assert len(pauses) == 6
    assert all(0.5 <= pause / (0.2 * 2**attempt) <= 1.5 for attempt, pause in enumerate(pauses))


@pytest.mark.parametrize("patience", [0, 1, 300])
def test_patience_is_bounded(pauses, patience):
    """In seconds of pauses; the error tells the number of attempts."""
    attempts = r" in \d+ attempts" if patience else ""
    with pytest.raises(StoreError, match=rf"^a{attempts}: TimeoutError$"):
        retries.retry(lambda: "a", raising([TimeoutError()] * 1000), patience)
    assert sum(pauses) == pytest.approx(patience)
    assert max(pauses, default=0) <= 30


def test_patience_counts_the_time_of_requests_too(pauses, monkeypatch):
    """A request that takes minutes until it fails is not made again."""
    times = iter(range(0, 100_000, 400))
    monkeypatch.setattr(retries, "clock", lambda: next(times))
    with pytest.raises(StoreError, match=r"^a: TimeoutError$"):
        retries.retry(lambda: "a", raising([TimeoutError()] * 1000))
    assert pauses == []


@pytest.mark.parametrize("error", [PermissionError("no"), JournalError("damaged"), KeyboardInterrupt(), SystemExit(1)])
def test_an_error_that_does_not_pass_is_raised_at_once(pauses, error):
    """As it is."""
    with pytest.raises(type(error)) as raised:
        retries.retry(lambda: "a", raising([error]))
    assert raised.value is error and pauses == []


def test_a_limit_holds_for_all_requests_in_its_body(pauses):
    """The smallest of nested ones counts, and it ends with its body."""
    with retries.limited_patience(0), retries.limited_patience(5), pytest.raises(StoreError, match=r"^a: "):
        retries.retry(lambda: "a", raising([TimeoutError()]))
    assert pauses == []
    assert retries.retry(lambda: "a", raising([TimeoutError()])) == "done"


def test_the_log_says_once_that_a_request_is_tried_again(pauses, said):
    """After some seconds."""
    retries.retry(lambda: "a cannot be read", raising([TimeoutError()] * 3))
    assert said == []
    retries.retry(lambda: "a cannot be read", raising([TimeoutError("slow")] * 12))
    [text] = said
    assert text.startswith("a cannot be read, and is tried again for ") and text.endswith(" s: TimeoutError: slow")
