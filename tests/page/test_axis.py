"""Axes and their numbers."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flyteoptuna.page import axis as axes


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.1234567, "0.123457"), (12.0, "12"), (1.5e-7, "1.5e-7"), (-math.inf, "-inf"), (2e300, "2e300")],
)
def test_numbers_have_six_significant_digits(value, text):
    """And no zeros that say nothing."""
    assert axes.format_number(value) == text


@settings(max_examples=300, deadline=None)
@given(values=st.lists(st.floats(allow_nan=False), min_size=1), worse=st.sampled_from([-1, 0, 1]), whole=st.booleans())
def test_an_axis_shows_its_best_value(values, worse, whole):
    """Whatever the magnitudes: ticks increase, their labels differ, and all of it lies inside."""
    axis = axes.linear_axis(values, worse=worse, whole=whole)
    ticks = [value for value, _ in axis.ticks]
    assert math.isfinite(axis.low) and math.isfinite(axis.high) and axis.low < axis.high
    assert ticks == sorted(set(ticks)) and len(ticks) <= 7 and (len(ticks) > 1 or whole)
    assert len({label for _, label in axis.ticks}) == len(ticks)
    assert all(0 <= axis.position(value) <= 1 for value in [*values, *ticks])
    finite = [value for value in values if math.isfinite(value)]
    if finite and worse:
        assert axis.contains(min(finite) if worse > 0 else max(finite))


@settings(max_examples=200, deadline=None)
@given(values=st.lists(st.floats(1e-300, 1e300), min_size=1))
def test_an_axis_by_orders_of_magnitude_shows_all_values_in_order(values):
    """From the least to the greatest, with few ticks."""
    axis = axes.log_axis(values)
    places = [axis.position(value) for value in sorted(values)]
    assert places == sorted(places) and all(0 < place < 1 for place in places)
    assert len(axis.ticks) <= 12 and all(0 <= axis.position(value) <= 1 for value, _ in axis.ticks)


def test_categories_stand_side_by_side():
    """All of a few are labelled, and some of many."""
    axis = axes.category_axis(["a", "b"])
    assert (axis.position(0), axis.position(1)) == (0.25, 0.75)
    assert [name for _, name in axis.ticks] == ["a", "b"]
    assert len(axes.category_axis([str(i) for i in range(100)]).ticks) == 8
