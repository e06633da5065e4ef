"""Values, exceptions, counts and durations as text, whatever their own ``repr`` and ``str`` do."""

from __future__ import annotations

import reprlib

# Maximum length of an exception in one line, characters.
MAX_TEXT = 2_000
# Units of time, the seconds in each, and the seconds from which the next unit is used.
_UNITS = (("ms", 0.001, 0.9995), ("s", 1, 60), ("min", 60, 2 * 3600), ("h", 3600, 2 * 86_400))


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
        return printable_text(_repr.repr(value))
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
        message = " ".join(printable_text(str(error)).split())
    except KeyboardInterrupt:
        raise
    except BaseException as another:
        message = f"(its str raises {type_name(another)})"
    line = f"{type_name(error)}: {message}" if message else type_name(error)
    return line if len(line) <= limit else f"{line[: max(limit - 3, 0)]}..."[:limit]


def is_utf8(text: str) -> bool:
    """Test whether UTF-8 can hold a text: all but half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def printable_text(text: str) -> str:
    """Text that databases, terminals and UTF-8 can hold, with escapes in place of what they cannot."""
    # A NUL ends a text in databases and terminals, and half a surrogate pair has no UTF-8.
    return str.replace(text, "\0", "\\x00").encode("utf-8", "backslashreplace").decode()
