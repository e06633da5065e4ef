"""Immutable objects in a folder of a store: made once and for all, by whoever comes first."""

from __future__ import annotations

import contextlib
import os
import pickle
import random
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import fsspec
from fsspec.implementations.local import LocalFileSystem

ATTEMPTS = 5
"""How often a request is sent before its error counts."""
PAUSE = 0.1
"""Seconds before the second attempt, doubled before each one that follows."""
CONDITIONAL = ("s3fs", "gcsfs", "adlfs")
"""Packages whose ``pipe_file(mode="create")`` is one conditional request; fsspec's own asks first and writes then."""
# Trying again does not help.
FINAL = (PermissionError, FileNotFoundError, NotADirectoryError, IsADirectoryError, TypeError, ValueError)


_T = TypeVar("_T")


class JournalError(RuntimeError):
    """A journal cannot be read or written, or does not hold what a journal holds; says which object, and why."""


class StoreError(JournalError):
    """A store does not answer, or says that it cannot for now: trying again later may help."""


class Create(Protocol):
    """Makes an object, atomically and whole, and raises where there is one of that name already."""

    def __call__(self, fs: Any, path: str, body: bytes) -> None:
        """Make it."""


def _pipe(fs: Any, path: str, body: bytes) -> None:
    fs.pipe_file(path, body, mode="create")


def _link(fs: Any, path: str, body: bytes) -> None:
    path = fs._strip_protocol(path)
    folder = os.path.dirname(path)
    os.makedirs(folder, exist_ok=True)
    aside = os.path.join(folder, f".{uuid.uuid4().hex}")
    try:
        with open(aside, "xb") as file:
            file.write(body)
        os.link(aside, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(aside)


def _creator(fs: Any) -> Create:
    if isinstance(fs, LocalFileSystem):
        return _link
    if {base.__module__.partition(".")[0] for base in type(fs).__mro__} & {*CONDITIONAL}:
        return _pipe
    raise JournalError(
        "a journal needs a store that makes an object only where there is none, in one request: local files, or "
        f"{', '.join(CONDITIONAL)}; got {type(fs).__module__}.{type(fs).__qualname__}, which promises no such thing"
    )


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


class Objects:
    """The objects of one folder.

    Args:
        url: the folder, as fsspec knows it.
        fs: its filesystem; by default the one that the URL names.
        create: how an object is made where none is, for filesystems other than ``CONDITIONAL`` and local files.

    Raises:
        JournalError: the filesystem cannot promise that an object is made only once.
    """

    def __init__(self, url: str, fs: Any = None, create: Create | None = None) -> None:
        found, root = fsspec.core.url_to_fs(url) if fs is None else (fs, url)
        self._fs, self._root = found, str(root).rstrip("/")
        self._create = create or _creator(self._fs)
        self._pid = os.getpid()
        self.url = url.rstrip("/")

    @property
    def fs(self) -> Any:
        """The filesystem, which does not survive a fork where it has threads or connections of its own."""
        if self._pid != os.getpid():
            self._fs, self._pid = pickle.loads(pickle.dumps(self._fs)), os.getpid()
        return self._fs

    def where(self, name: str) -> str:
        """An object, for people."""
        return f"{self.url}/{name}"

    def names(self) -> list[str]:
        """What the folder holds, as the store says now; nothing where there is no folder.

        Raises:
            JournalError: the store does not say.
        """

        def listed() -> list[str]:
            self.fs.invalidate_cache(self._root)
            try:
                return [str(path).rpartition("/")[2] for path in self.fs.ls(self._root, detail=False)]
            except FileNotFoundError:
                return []

        return self._try(lambda: self.url, "listed", listed)

    def read(self, names: Sequence[str]) -> list[bytes | None]:
        """Many objects at once: the content of each, or None where there is none.

        Raises:
            JournalError: an object could not be read, several times.
        """
        found: dict[str, bytes | None] = {}

        def left() -> list[str]:
            return [name for name in names if name not in found]

        def answered() -> list[bytes | None]:
            asked, failed = left(), None
            # From the first byte on: for a whole object, s3fs asks for its size before, and believes cached listings.
            answers = self.fs.cat_ranges([f"{self._root}/{name}" for name in asked], 0, None, on_error="return")
            for name, answer in zip(asked, answers, strict=True):
                if isinstance(answer, FileNotFoundError):
                    found[name] = None
                elif isinstance(answer, BaseException):
                    failed = failed or answer
                else:
                    found[name] = bytes(answer)
            if failed is not None:
                raise failed
            return [found[name] for name in names]

        return self._try(lambda: self.where(left()[0]), "read", answered)

    def create(self, name: str, body: bytes) -> bytes:
        """Make an object unless there is one; returns what stands there now.

        An answer that got lost, and a refusal in whatever words a store has for it, are told apart by looking.

        Raises:
            JournalError: there is none, and none could be made.
        """

        def made() -> bytes:
            try:
                self._create(self.fs, f"{self._root}/{name}", body)
            except Exception:
                (there,) = self.read([name])
                if there is None:
                    raise
                return there
            return body

        return self._try(lambda: self.where(name), "written", made)

    def write(self, name: str, body: bytes) -> None:
        """Write an object that may as well be lost."""
        with contextlib.suppress(Exception):
            self._create(self.fs, f"{self._root}/{name}", body)

    def check(self) -> None:
        """Prove that the store reads, writes, and makes an object only where there is none.

        Raises:
            JournalError: it does not; says what happened.
        """
        name, first, second = f"probe-{uuid.uuid4().hex}", b"first", b"second"
        try:
            self.read([name])
        except JournalError as error:
            # S3 says so for what does not exist to those who may not list the bucket.
            hint = "; it does not exist, so that the right to list may be missing"
            raise JournalError(f"{error}{hint}") from error
        self.create(name, first)
        try:
            refused: Exception | None = None
            try:
                self._create(self.fs, f"{self._root}/{name}", second)
            except Exception as error:
                refused = error
            (there,) = self.read([name])
            if refused is None or there != first:
                raise JournalError(
                    f"{self.url}: this store cannot hold a journal, since it does not keep the first object of a name: "
                    f"a second one under {name} was {'taken in silence' if refused is None else _said(refused)}, and "
                    f"{there!r} was read after {first!r} had been written"
                )
        finally:
            # A role that must not delete leaves some bytes behind.
            with contextlib.suppress(Exception):
                self.fs.rm_file(f"{self._root}/{name}")

    def _try(self, where: Callable[[], str], done: str, call: Callable[[], _T]) -> _T:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return call()
            except JournalError:
                raise
            except Exception as error:
                if isinstance(error, FINAL) or attempt == ATTEMPTS:
                    tried = "" if attempt == 1 else f" in {attempt} attempts"
                    kind = JournalError if isinstance(error, FINAL) else StoreError
                    raise kind(f"{where()} cannot be {done}{tried}: {_said(error)}") from error
                time.sleep(PAUSE * 2 ** (attempt - 1) * random.uniform(0.5, 1.5))
        raise AssertionError
