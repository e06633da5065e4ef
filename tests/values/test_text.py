"""Counts, times and exceptions in words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyteoptuna.values.text import MAX_TEXT, exception_line, format_duration, plural


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.000408, "0.408 ms"),
        (0.0123, "12.3 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1 s"),
        (59.94, "59.9 s"),
        (60, "1 min"),
        (410, "6.83 min"),
        (7200, "2 h"),
        (2 * 86_400, "2 d"),
        (5000 * 86_400, "5,000 d"),
        (-90, "-1.5 min"),
    ],
)
def test_a_time_has_the_unit_that_people_take(seconds, text):
    """And three digits; clocks of two pods may make it negative."""
    assert format_duration(seconds) == text


def test_a_count_has_its_noun():
    """One has no plural."""
    assert (plural(0, "trial"), plural(1, "trial"), plural(2000, "trial")) == ("0 trials", "1 trial", "2,000 trials")


class Mute(Exception):
    """Its text raises."""

    def __str__(self):
        raise LookupError


class Exit(Mute):
    """Its text ends the process, if it may."""

    def __str__(self):
        raise SystemExit


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("bad"), "ValueError: bad"),
        (ValueError("two\n\n  lines,\ta tab\r\n"), "ValueError: two lines, a tab"),
        (ValueError(), "ValueError"),
        (ValueError(" \n"), "ValueError"),
        (KeyError("name"), "KeyError: 'name'"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (ValueError("a\0b\ud800"), "ValueError: a\\x00b\\ud800"),
        (Mute(), "Mute: (its str raises LookupError)"),
        (Exit(), "Exit: (its str raises SystemExit)"),
    ],
)
def test_an_exception_is_one_line(error, line):
    """Its type, and its message without line breaks; whatever its own methods do."""
    assert exception_line(error) == line


@given(st.text(), st.integers(0, 50))
def test_a_long_exception_is_cut_and_says_so(text, limit):
    """No line is longer than its limit."""
    whole = exception_line(ValueError(text), 10**6)
    cut = exception_line(ValueError(text), limit)
    assert len(cut) <= limit and len(cut.splitlines()) <= 1
    assert cut in (whole, f"{whole[: max(limit - 3, 0)]}..."[:limit])


def test_a_line_has_a_limit_of_its_own():
    """A message of megabytes fits every report and log."""
    line = exception_line(ValueError("word " * 100_000))
    assert len(line) == MAX_TEXT and line.endswith("...")
