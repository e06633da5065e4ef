"""Values, exceptions, counts and times in words, and values as JSON, whatever they do when they are looked at."""

from __future__ import annotations

import json
import reprlib
import sys
import traceback
from pathlib import Path
from types import TracebackType
from typing import Any, cast

LONGEST = 2_000
"""Most characters of a value, or of what an exception says in its first line."""

FRAMES = 50
"""Most frames of a traceback, the last ones."""

CHAIN = 50
"""Most exceptions of a chain of causes, the last ones."""

LARGEST = 1_500_000
"""Most characters of a value's JSON that are looked at; no report has room for more."""

DEEPEST = 100
"""Most lists and dictionaries inside each other. Reading and writing JSON recurses, beneath stacks of any depth."""

_UNITS = (("ms", 0.001, 0.9995), ("s", 1, 60), ("min", 60, 2 * 3600), ("h", 3600, 2 * 86_400))
"""Units of time, their seconds, and the seconds from which on the next one is taken."""

_HERE = str(Path(__file__).parents[1])

_repr = reprlib.Repr()
_repr.maxstring = _repr.maxother = 200
_repr.maxlong = 40


def plural(count: int, noun: str) -> str:
    """A count with its noun: ``1 trial``, ``2,000 trials``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def duration(seconds: float) -> str:
    """A time at three significant digits: ``0.41 ms``, ``12.3 s``, ``6.8 min``, ``47 h``, ``3.2 d``."""
    if seconds < 0:
        return f"-{duration(-seconds)}"
    unit, size = next(((unit, size) for unit, size, most in _UNITS if seconds < most), ("d", 86_400))
    count = seconds / size
    return f"{count:.3g} {unit}" if count < 999.5 else f"{count:,.0f} {unit}"


def named(value: object) -> str:
    """Name of a value's type."""
    return type.__dict__["__name__"].__get__(type(value))  # type: ignore[no-any-return]


def shown(value: object) -> str:
    """A value as ``repr`` shows it, shortened; that of a value whose ``repr`` raises says so."""
    try:
        return _text(_repr.repr(value))
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return f"<{named(value)}, whose repr raises {named(error)}>"


def said(error: BaseException) -> str:
    """Type of an exception and what it says, in one string; that of an exception whose ``str`` raises says so."""
    try:
        text = _text(str(error))[:LONGEST]
    except KeyboardInterrupt:
        raise
    except BaseException as another:
        text = f"(its str raises {named(another)})"
    return f"{named(error)}: {text}" if text else named(error)


def traced(error: BaseException) -> str:
    """The traceback of an exception, without the frames of this library that come first, and its latest causes."""
    found = cast("TracebackType | None", BaseException.__dict__["__traceback__"].__get__(error))
    own = found
    while own is not None and own.tb_frame.f_code.co_filename.startswith(_HERE):
        # The library's own frames come first, and say nothing about what went wrong.
        own = own.tb_next
    try:
        return _text(_whole(error, own or found))
    except KeyboardInterrupt:
        raise
    except BaseException:
        # What an exception says of itself, or of its causes, can raise anything.
        return _text(_frames(error, own or found))


def _whole(error: BaseException, trace: TracebackType | None) -> str:
    if _links(error) > CHAIN:
        raise RecursionError
    shown = traceback.TracebackException(type(error), error, trace, limit=-FRAMES, compact=True)
    return "".join(shown.format()).rstrip()


def _frames(error: BaseException, trace: TracebackType | None) -> str:
    # A long chain, a deep group, or one that raises when it is looked at: only the first links are told.
    lines = ["Traceback (most recent call last):\n", *traceback.format_tb(trace, limit=-FRAMES), said(error)]
    for _ in range(CHAIN):
        cause = _cause(error)
        if cause is None:
            break
        error = cause
        lines.append(f"\nfrom {said(error)}")
    return "".join(lines)


def _cause(error: BaseException) -> BaseException | None:
    # Those of the class itself, for an exception may have attributes of its own that raise.
    cause, context, hidden = (
        BaseException.__dict__[name].__get__(error) for name in ("__cause__", "__context__", "__suppress_context__")
    )
    found: BaseException | None = cause if cause is not None or hidden else context
    return found


def _links(error: BaseException) -> int:
    """Number of exceptions that are reached from one, itself included, as far as it matters."""
    seen: dict[int, BaseException] = {}
    waiting: list[Any] = [error]
    while waiting and len(seen) <= CHAIN:
        each = waiting.pop()
        if isinstance(each, BaseException) and id(each) not in seen:
            seen[id(each)] = each
            waiting += [_cause(each), *(getattr(each, "exceptions", None) or ())]
    return len(seen)


def _text(text: str) -> str:
    # A NUL ends a text in databases and terminals, and half a surrogate pair has no UTF-8.
    return str.replace(text, "\0", "\\x00").encode("utf-8", "backslashreplace").decode()


class TooLargeError(ValueError):
    """A value whose JSON is longer than ``LARGEST``."""


def plain(value: Any) -> Any:
    """A numpy scalar as the plain number, bool or text that it is; any other value as it is."""
    # Only what has imported numpy can have made one.
    numpy = sys.modules.get("numpy")
    if numpy is None or not isinstance(value, (numpy.generic, numpy.ndarray)) or value.shape != ():
        return value
    made = value.item()
    # A `longdouble` is no number of Python's.
    return made if not isinstance(made, numpy.generic) else float(made) if value.dtype.kind == "f" else value


class _Copy:
    """A copy of a value that JSON can hold, made of Python's own types; counts what its JSON would take."""

    def __init__(self) -> None:
        self.size = 0

    def of(self, value: Any, depth: int) -> Any:
        """The copy of a value at a depth."""
        if depth > DEEPEST:
            raise TypeError(f"it is nested deeper than {DEEPEST}, or holds itself")
        value = plain(value)
        self.size += (len(value) if isinstance(value, str) else 1) + 2
        if self.size > LARGEST:
            # A value that holds another many times over has no end to speak of.
            raise TooLargeError(f"it is longer than {LARGEST} characters")
        if isinstance(value, dict):
            return {self.of(key, depth + 1): self.of(inner, depth + 1) for key, inner in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.of(inner, depth + 1) for inner in value]
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        raise TypeError(f"an object of type {type(value).__name__} is not JSON serializable")


def encoded(value: Any) -> str:
    """A value as JSON, with numpy's scalars as plain numbers.

    Raises:
        TypeError: JSON cannot hold it, or it is nested deeper than ``DEEPEST``.
        TooLargeError: it is longer than ``LARGEST``.
    """
    copy = _Copy().of(value, 0)
    try:
        return json.dumps(copy)
    except ValueError as error:
        # Of an int with thousands of digits.
        raise TypeError(str(error)) from None
