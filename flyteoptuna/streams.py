"""Standard streams that may be None, closed, incomplete or broken, as in a daemon or in `redirect_stdout(None)`."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any


def is_terminal(stream: Any) -> bool:
    """Test whether a stream is a terminal; False for None and for a stream that cannot tell."""
    try:
        return bool(stream.isatty())
    except Exception:
        return False


def flush_streams() -> None:
    """Flush standard output and error as far as they can be flushed. Blocks as long as they do."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()


def tolerant_stream(stream: Any) -> Any:
    """A stream that passes on what another one takes, and drops the rest. It never raises when it is written to."""
    return _TolerantStream(stream)


class _TolerantStream:
    closed = False

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.encoding = getattr(stream, "encoding", None) or "utf-8"
        self.errors = getattr(stream, "errors", None) or "replace"

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            # By this, click tells text streams from others.
            raise TypeError("a text stream takes str")
        with suppress(Exception):
            self._stream.write(text)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        with suppress(Exception):
            self._stream.flush()

    def isatty(self) -> bool:
        return is_terminal(self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _is_usable(stream: Any, *, strict: bool) -> bool:
    try:
        stream.write("")
        stream.flush()
        stream.isatty()
    except OSError:
        return strict
    except Exception:
        return False
    return True


@contextmanager
def usable_streams(*, strict: Collection[str] = ()) -> Iterator[None]:
    """Replace standard output and error in the body where they are None, closed, incomplete or broken.

    There, Python's warnings and logging, Optuna and loky raise. A stream whose name is in ``strict`` stays if
    the system does not take what is written to it, as on a full disk: the body gets the ``OSError``.
    """
    _open_descriptors()
    replaced = []
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if not _is_usable(stream, strict=name in strict):
            stand_in = tolerant_stream(stream)
            setattr(sys, name, stand_in)
            replaced.append((name, stream, stand_in))
    try:
        yield
    finally:
        for name, stream, stand_in in replaced:
            # Other code may have replaced it meanwhile.
            if getattr(sys, name) is stand_in:
                setattr(sys, name, stream)


def _open_descriptors() -> None:
    """Open the null device for each standard stream of the system that is closed.

    Otherwise the next file that is opened takes its place, and gets what a library or a child process prints.
    """
    with suppress(OSError):
        while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
            os.set_inheritable(descriptor, True)
        os.close(descriptor)
