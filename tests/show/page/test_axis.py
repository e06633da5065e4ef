"""Axes and their numbers."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flyteoptuna.show.page import axis as axes


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.1234567, "0.123457"), (12.0, "12"), (1.5e-7, "1.5e-7"), (-math.inf, "-inf"), (2e300, "2e300")],
)
def test_numbers_have_six_significant_digits(value, text):
    """And no zeros that say nothing."""
    assert axes.number(value) == text


@settings(max_examples=300, deadline=None)
@given(values=st.lists(st.floats(allow_nan=False), min_size=1), worse=st.sampled_from([-1, 0, 1]), whole=st.booleans())
def test_an_axis_shows_its_best_value(values, worse, whole):
    """Whatever the magnitudes: ticks increase, their labels differ, and all of it lies inside."""
    axis = axes.axis(values, worse=worse, whole=whole)
    ticks = [value for value, _ in axis.ticks]
    assert math.isfinite(axis.low) and math.isfinite(axis.high) and axis.low < axis.high
    assert ticks == sorted(set(ticks)) and len(ticks) <= 12
    assert len({label for _, label in axis.ticks}) == len(ticks)
    assert all(0 <= axis.at(value) <= 1 for value in [*values, *ticks])
    finite = [value for value in values if math.isfinite(value)]
    if finite and worse:
        assert axis.shows(min(finite) if worse > 0 else max(finite))
