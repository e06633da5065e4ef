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


def ordinary(count, spread=1.0):
    return [0.1 + spread * (i * 0.618034 % 1) for i in range(count)]


@pytest.mark.parametrize(
    "values",
    [
        # How many are outside, and what is within: by one diverged trial, by penalties, on both sides of zero.
        (1, [*ordinary(5), 1e6]),
        (1, [*ordinary(40), 1e3]),
        (20, [*ordinary(30), *[1e9] * 20]),
        (15, [*ordinary(30), *(10.0**order for order in range(5, 20))]),
        (8, [*(value - 0.6 for value in ordinary(40)), *[1e5] * 8]),
        (1, [-100.0, *ordinary(40, 80.0), 1e9]),
        (2, [*ordinary(40), math.inf, 1e300]),
        (0, ordinary(40)),
        (0, [-1.0, *ordinary(2), 1e9]),
        (0, [2.0] * 10),
        (0, [0.0, 1.0, 2.0, 3.0, 5.0, 8.0, 12.0]),
    ],
)
@pytest.mark.parametrize("sign", [1, -1])
def test_outliers_lie_outside_and_the_rest_within(values, sign):
    """Where high values are worse, and where low ones are; few values are all shown."""
    count, found = values
    axis = axes.value_axis([sign * value for value in found], worse=sign)
    outside = [value for value in found if not axis.contains(sign * value)]
    assert sorted(outside) == sorted(found)[len(found) - count :]
    assert not axis.log
    within = [axis.position(sign * value) for value in found if axis.contains(sign * value)]
    assert max(within) - min(within) > 0.6 or len({*found}) == 1 or count == 0


@pytest.mark.parametrize(
    ("values", "log"),
    [
        ([10.0**order for order in range(-6, 4)], True),
        ([10.0 ** (order / 10) for order in range(-30, 30)], True),
        ([1.0, 1e9], True),
        ([*ordinary(3), 1e9], True),
        ([5e-324, 1e-300, 1.0, 1e308], True),
        ([*(10.0 ** -(order / 4) for order in range(40)), 1e300], True),
        ([0.0, *(10.0**order for order in range(-6, 4))], False),
        ([-1.0, 1.0, 1e6], False),
        (ordinary(50), False),
        ([1.0, 2.0, 50.0], False),
        # The best is far from the others, which are of one size.
        ([1e-9, *ordinary(30)], False),
    ],
)
@pytest.mark.parametrize("worse", [1, -1, 0])
def test_values_over_orders_of_magnitude_have_a_logarithmic_axis(values, log, worse):
    """If all are positive, and most of them spread."""
    axis = axes.value_axis(values, worse=worse)
    assert axis.log == log
    if log:
        places = [axis.position(value) for value in sorted(values) if axis.contains(value)]
        assert places == sorted(places) and len({*places}) == len(places) and len(axis.ticks) > 1


@settings(max_examples=300, deadline=None)
@given(values=st.lists(st.floats(allow_nan=False), min_size=1), worse=st.sampled_from([-1, 0, 1]))
def test_an_axis_of_values_shows_its_best_and_most_of_them(values, worse):
    """Whatever the magnitudes."""
    axis = axes.value_axis(values, worse=worse)
    assert 0 <= axis.low < axis.high <= 1.8e308 if axis.log else axis.low < axis.high
    finite = [value for value in values if math.isfinite(value)]
    shown = [value for value in finite if axis.contains(value)]
    assert len(shown) >= len(finite) / 2
    if finite and worse:
        assert axis.contains(min(finite) if worse > 0 else max(finite))
    assert all(0 <= axis.position(value) <= 1 for value in values)
