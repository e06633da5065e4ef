"""Values, exceptions, counts and durations as text, whatever their own ``repr`` and ``str`` do."""

from __future__ import annotations

import reprlib
import traceback
from pathlib import Path
from types import FrameType, TracebackType
from typing import cast

# Maximum length of an exception in one line, characters.
MAX_TEXT = 2_000
# Maximum number of frames of a traceback; the last ones are shown.
MAX_FRAMES = 50
# Maximum number of exceptions in a chain of causes; the last ones are shown.
MAX_CAUSES = 50
# Units of time, the seconds in each, and the seconds from which the next unit is used.
_UNITS = (("ms", 0.001, 0.9995), ("s", 1, 60), ("min", 60, 2 * 3600), ("h", 3600, 2 * 86_400))

# Packages that call the function of a task. Async functions run in a thread, whose result is awaited.
_CALLERS = ("flytekit", "concurrent")
_PACKAGE = str(Path(__file__).parents[1])


class _Repr(reprlib.Repr):
    def repr_int(self, x: int, level: int) -> str:
        # Python refuses to print an int of thousands of digits.
        short = x.bit_length() < 10_000
        return super().repr_int(x, level) if short else f"<an int of about {int(x.bit_length() * 0.30103):,} digits>"


_repr = _Repr()
_repr.maxstring = _repr.maxother = 200
_repr.maxlong = 40


def plural(count: int, noun: str) -> str:
    """A count with its noun.

    >>> plural(1, "trial"), plural(2000, "trial")
    ('1 trial', '2,000 trials')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def format_duration(seconds: float) -> str:
    """A duration with three significant digits and its unit.

    >>> [format_duration(seconds) for seconds in (0.00041, 12.34, 410, 7200, 280_000)]
    ['0.41 ms', '12.3 s', '6.83 min', '2 h', '3.24 d']
    """
    if seconds < 0:
        return f"-{format_duration(-seconds)}"
    unit, size = next(((unit, size) for unit, size, end in _UNITS if seconds < end), ("d", 86_400))
    count = seconds / size
    return f"{count:.3g} {unit}" if count < 999.5 else f"{count:,.0f} {unit}"


def type_name(value: object) -> str:
    """Name of a value's type, even where its metaclass overrides ``__name__``."""
    return type.__dict__["__name__"].__get__(type(value))  # type: ignore[no-any-return]


def safe_repr(value: object) -> str:
    """Shortened ``repr`` of a value; a placeholder where ``repr`` raises."""
    try:
        return _printable_text(_repr.repr(value))
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return f"<{type_name(value)} without a repr: {type_name(error)}>"


def exception_line(error: BaseException, limit: int = MAX_TEXT) -> str:
    r"""Type and message of an exception in one line; a placeholder for the message where ``str`` raises.

    Args:
        error: any exception.
        limit: maximum length of the line, characters. A longer one is cut and ends in ``...``.

    >>> exception_line(ValueError("Bad  shape:\n  (3, 4)"))
    'ValueError: Bad shape: (3, 4)'
    """
    try:
        message = " ".join(_printable_text(str(error)).split())
    except KeyboardInterrupt:
        raise
    except BaseException as another:
        message = f"(its str raises {type_name(another)})"
    line = f"{type_name(error)}: {message}" if message else type_name(error)
    return line if len(line) <= limit else f"{line[: max(limit - 3, 0)]}..."[:limit]


def format_traceback(error: BaseException) -> str:
    """Traceback of an exception and its latest causes, without the frames at the start that call the user's code."""
    whole = cast("TracebackType | None", BaseException.__dict__["__traceback__"].__get__(error))
    shown = whole
    while shown is not None and _calls_user_code(shown.tb_frame):
        shown = shown.tb_next
    trace, causes = shown or whole, _causes(error)
    try:
        if len(causes) > MAX_CAUSES:
            raise RecursionError
        full = traceback.TracebackException(type(error), error, trace, limit=-MAX_FRAMES, compact=True)
        return _printable_text("".join(full.format()).rstrip())
    except KeyboardInterrupt:
        raise
    except BaseException:
        # The chain is long, or an attribute of an exception raises: show one line for each cause.
        lines = ["Traceback (most recent call last):\n", *traceback.format_tb(trace, limit=-MAX_FRAMES)]
        lines += [exception_line(error), *(f"\nfrom {exception_line(cause)}" for cause in causes)]
        return _printable_text("".join(lines))


def _calls_user_code(frame: FrameType) -> bool:
    package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
    return package in _CALLERS or frame.f_code.co_filename.startswith(_PACKAGE)


def _causes(error: BaseException) -> list[BaseException]:
    """Chain of causes, the latest first and at most one more than ``MAX_CAUSES``."""
    chain = [error]
    while len(chain) < MAX_CAUSES + 2:
        # Read from the base class, because a subclass may override these attributes with ones that raise.
        cause, context, hidden = (
            BaseException.__dict__[name].__get__(chain[-1])
            for name in ("__cause__", "__context__", "__suppress_context__")
        )
        following = cause if cause is not None or hidden else context
        if following is None or any(following is link for link in chain):
            break
        chain.append(following)
    return chain[1:]


def is_utf8(text: str) -> bool:
    """Test whether UTF-8 can hold a text: all but half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _printable_text(text: str) -> str:
    # A NUL ends a text in databases and terminals, and half a surrogate pair has no UTF-8.
    return str.replace(text, "\0", "\\x00").encode("utf-8", "backslashreplace").decode()
