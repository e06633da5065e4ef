"""Counts and times in words."""

import pytest

from flyteoptuna.core.plain_values import duration, plural


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
    assert duration(seconds) == text


def test_a_count_has_its_noun():
    """One has no plural."""
    assert (plural(0, "trial"), plural(1, "trial"), plural(2000, "trial")) == ("0 trials", "1 trial", "2,000 trials")
