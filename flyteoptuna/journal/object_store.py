"""Immutable objects in one folder of a store: of several writers of a name, the first one wins."""

from __future__ import annotations

import contextlib
import os
import pickle
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias, TypeVar

import fsspec
from fsspec.implementations.local import LocalFileSystem

from flyteoptuna.errors import JournalError, StoreError
from flyteoptuna.journal import limits
from flyteoptuna.values import retries
from flyteoptuna.values.text import exception_line

# HTTP status of a read from the first byte of an empty object.
_EMPTY_RANGE = 416
# Packages whose `pipe_file(mode="create")` is one conditional request; fsspec's default asks first, then writes.
CONDITIONAL = ("s3fs", "gcsfs", "adlfs")

_T = TypeVar("_T")
# Creates an object atomically, from (filesystem, path, body); raises where the path exists.
CreateObject: TypeAlias = Callable[[Any, str, bytes], None]


def _link(fs: Any, path: str, body: bytes) -> None:
    path = fs._strip_protocol(path)
    folder = os.path.dirname(path)
    os.makedirs(folder, exist_ok=True)
    temporary = os.path.join(folder, f".{uuid.uuid4().hex}")
    try:
        with open(temporary, "xb") as file:
            file.write(body)
        os.link(temporary, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(temporary)


def _creator(fs: Any) -> CreateObject:
    if isinstance(fs, LocalFileSystem):
        return _link
    if {base.__module__.partition(".")[0] for base in type(fs).__mro__} & {*CONDITIONAL}:
        return lambda fs, path, body: fs.pipe_file(path, body, mode="create")
    raise JournalError(
        "a journal needs a store that makes an object only where there is none, in one request: local files, or "
        f"{', '.join(CONDITIONAL)}; got {type(fs).__module__}.{type(fs).__qualname__}, which promises no such thing"
    )


class ObjectStore:
    """The objects of one folder. Methods raise a ``JournalError`` that names the object.

    A filesystem other than local files and those in ``CONDITIONAL`` needs ``create``. Requests that fail are tried
    again for ``patience`` seconds.
    """

    def __init__(
        self, url: str, fs: Any = None, create: CreateObject | None = None, patience: float = retries.PATIENCE
    ) -> None:
        self._fs, root = fsspec.core.url_to_fs(url) if fs is None else (fs, url)
        self._root = str(root).rstrip("/")
        self._create = create or _creator(self._fs)
        self._pid, self._patience = os.getpid(), patience
        self.url = url.rstrip("/")

    @property
    def fs(self) -> Any:
        """The filesystem; a copy after a fork, because its threads and connections do not survive one."""
        if self._pid != os.getpid():
            self._fs, self._pid = pickle.loads(pickle.dumps(self._fs)), os.getpid()
        return self._fs

    def object_url(self, name: str) -> str:
        """URL of an object, for messages."""
        return f"{self.url}/{name}"

    def list_names(self) -> list[str]:
        """Names of all objects, read from the store, not from a cached listing; empty without a folder."""

        def list_folder() -> list[str]:
            self.fs.invalidate_cache(self._root)
            try:
                return [str(path).rpartition("/")[2] for path in self.fs.ls(self._root, detail=False)]
            except FileNotFoundError:
                return []

        return self._retry(lambda: self.url, "listed", list_folder)

    def read(self, names: Sequence[str]) -> Iterator[bytes | None]:
        """Read many objects: the body of each, or None where it does not exist.

        They are requested at once, each up to its share of ``limits.WINDOW_BYTES``. A larger one is read by itself when
        it is its turn.
        """
        share = limits.WINDOW_BYTES // len(names)
        for name, start in zip(names, self._read_starts(names, share + 1), strict=True):
            whole = start is None or len(start) <= share
            yield start if whole else self._read_starts([name], limits.MAX_BYTES + 1)[0]

    def _read_starts(self, names: Sequence[str], length: int) -> list[bytes | None]:
        """Read the first bytes of many objects at once."""
        missing, bodies = list(names), dict[str, bytes | None]()

        def read_missing() -> list[bytes | None]:
            failures = {}
            for name, answer in zip(missing, self._request(missing, length), strict=True):
                if isinstance(answer, BaseException):
                    failures[name] = answer
                else:
                    bodies[name] = answer
            missing[:] = failures
            for failure in failures.values():
                raise failure
            return [bodies[name] for name in names]

        return self._retry(lambda: self.object_url(missing[0]), "read", read_missing)

    def _request(self, names: Sequence[str], length: int) -> list[bytes | BaseException | None]:
        """Request the first bytes of many objects once: those of each, None where it does not exist, or the error."""
        paths = [f"{self._root}/{name}" for name in names]
        # From the first byte on: for a whole object, s3fs first asks for its size, and trusts cached listings.
        answers = self.fs.cat_ranges(paths, 0, length, on_error="return")
        return [self._body(name, answer) for name, answer in zip(names, answers, strict=True)]

    def _body(self, name: str, answer: Any) -> bytes | BaseException | None:
        if isinstance(answer, FileNotFoundError):
            return None
        if isinstance(answer, BaseException):
            return b"" if retries.http_status(answer)[0] == _EMPTY_RANGE else answer
        if len(answer) > limits.MAX_BYTES:
            return JournalError(f"{self.object_url(name)} is too large: more than {limits.MAX_BYTES} bytes")
        return bytes(answer)

    def create(self, name: str, body: bytes) -> bytes:
        """Create an object unless it exists; returns the body that the store holds.

        After an error, the object is read: this tells a lost answer from a refusal, whose form differs between stores.
        """
        if len(body) > limits.MAX_BYTES:
            raise JournalError(
                f"{self.object_url(name)} cannot be written: {len(body)} bytes, where {limits.MAX_BYTES} are allowed"
            )

        def create_or_read() -> bytes:
            try:
                self._create(self.fs, f"{self._root}/{name}", body)
            except Exception:
                (stored,) = self._request([name], limits.MAX_BYTES + 1)
                if isinstance(stored, BaseException):
                    raise stored from None
                if stored is None:
                    raise
                return stored
            return body

        return self._retry(lambda: self.object_url(name), "written", create_or_read)

    def try_create(self, name: str, body: bytes) -> None:
        """Create an object in one attempt, and ignore any error."""
        with contextlib.suppress(Exception):
            self._create(self.fs, f"{self._root}/{name}", body)

    def check(self) -> None:
        """Check that the store reads, writes, and refuses to create an object twice."""
        name, first, second = f"probe-{uuid.uuid4().hex}", b"first", b"second"
        try:
            [*self.read([name])]
        except StoreError:
            raise
        except JournalError as error:
            # S3 answers so about a missing object to those who may not list the bucket.
            hint = "; it does not exist, so that the right to list may be missing"
            raise JournalError(f"{error}{hint}") from error
        self.create(name, first)
        try:
            outcome = "taken in silence"
            try:
                self._create(self.fs, f"{self._root}/{name}", second)
            except Exception as error:
                outcome = exception_line(error)
            (stored,) = self.read([name])
            if outcome == "taken in silence" or stored != first:
                raise JournalError(
                    f"{self.url}: this store cannot hold a journal, since it does not keep the first object of a name: "
                    f"a second one under {name} was {outcome}, and {stored!r} was read after {first!r} had been written"
                )
        finally:
            # Without the right to delete, the few bytes stay.
            with contextlib.suppress(Exception):
                self.fs.rm_file(f"{self._root}/{name}")

    def _retry(self, where: Callable[[], str], done: str, call: Callable[[], _T]) -> _T:
        try:
            return retries.retry(lambda: f"{where()} cannot be {done}", call, self._patience)
        except JournalError:
            raise
        except Exception as error:
            raise JournalError(f"{where()} cannot be {done}: {exception_line(error)}") from error
