"""Standard streams as daemons, windowed programs, redirections and full disks leave them, by name."""

import io
import sys
import threading


def _closed():
    stream = io.StringIO()
    stream.close()
    return stream


class _WriteOnly:
    def write(self, text):
        return len(text)


class _Raising:
    def __init__(self, error):
        self.error = error

    def write(self, *_):
        raise self.error

    flush = isatty = fileno = write


class _FullAtFlush(io.StringIO):
    def flush(self):
        raise OSError(28, "No space left on device")


class _Endless(io.StringIO):
    """A stream that takes what is written, and never ends to flush it."""

    def flush(self):
        threading.Event().wait()


STREAMS = {
    "none": lambda: None,
    "closed": _closed,
    "write_only": _WriteOnly,
    "no_stream": object,
    "gone": lambda: _Raising(BrokenPipeError()),
    "invalid": lambda: _Raising(ValueError("I/O operation on closed file.")),
    "full": _FullAtFlush,
}
BLOCKING = {"endless": _Endless}


def replace_streams(monkeypatch, name):
    """Make each standard stream one of a kind; in the body of a test, because pytest replaces them before it."""
    for stream in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, stream, {**STREAMS, **BLOCKING}[name]())
