"""Parameters as numbers, and numbers as parameters."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from flyteoptuna.sampler.columns import ABSENT, Column, coordinates_of, encode_points
from flyteoptuna.study.ask import space_distributions
from flyteoptuna.testing.strategies import suggestions

WIDE = [
    FloatDistribution(-1.7e308, 1.7e308),
    FloatDistribution(5e-324, 1e308, log=True),
    FloatDistribution(0, 1e-300),
    FloatDistribution(-10.2, 10.2, step=0.1),
    IntDistribution(-(2**60), 2**60),
    IntDistribution(1, 2**60, log=True),
    CategoricalDistribution([str(i) for i in range(1_000)]),
]
DISTRIBUTIONS = suggestions().map(lambda s: space_distributions({"x": s})["x"]) | st.sampled_from(WIDE)


@given(DISTRIBUTIONS, st.floats(0, 1))
def test_every_number_is_a_value_of_the_distribution(distribution, number):
    """Of Python's own type, within the bounds and on the grid; its number gives the value back."""
    column = Column(distribution)
    value = column.decode(number)
    assert distribution._contains(distribution.to_internal_repr(value))
    if not isinstance(distribution, CategoricalDistribution):
        assert type(value) is (int if isinstance(distribution, IntDistribution) else float)
    [again] = column.encode([value])
    [snapped] = column.snap(np.array([number]))
    assert 0 <= snapped <= 1 and column.snap(np.array([snapped])) == pytest.approx(snapped, abs=1e-9)
    if column.discrete and distribution not in WIDE:
        assert column.decode(again) == value == column.decode(snapped)
    elif not distribution.single():
        assert again == pytest.approx(snapped, abs=1e-9)


@pytest.mark.parametrize(
    ("distribution", "values"),
    [
        (IntDistribution(2, 10, step=4), [2, 6, 10]),
        (FloatDistribution(0, 1, step=0.5), [0.0, 0.5, 1.0]),
        (CategoricalDistribution(["a", None, True]), ["a", None, True]),
    ],
)
def test_values_of_a_grid_are_equally_likely(distribution, values):
    """The first and the last as well as those between."""
    column = Column(distribution)
    drawn = [column.decode(u) for u in (np.arange(300) + 0.5) / 300]
    assert [drawn.count(value) for value in values] == [100, 100, 100]


def test_values_of_another_kind_are_missing():
    """A parameter that a trial does not have, a choice that is none, and a number without a logarithm."""
    assert np.isnan(Column(CategoricalDistribution(["a", "b"])).encode([ABSENT, "c"])).all()
    assert np.isnan(Column(FloatDistribution(0.1, 1, log=True)).encode([ABSENT, 0.0, -1.0])).all()
    columns = {"a": Column(FloatDistribution(0, 1)), "b": Column(IntDistribution(0, 1))}
    assert repr(encode_points(columns, [{"a": 1.0}, {"b": 0}]).tolist()) == "[[1.0, nan], [nan, 0.25]]"
    assert encode_points(columns, []).shape == (0, 2)


def test_a_value_beyond_a_narrowed_range_keeps_its_side():
    """It is learnt from at a distance, up to one width of the range."""
    found = Column(FloatDistribution(0, 1)).encode([-9.0, -0.5, 0.5, 1.5, 9.0])
    assert found.tolist() == [-1, -0.5, 0.5, 1.5, 2]


def test_choices_are_as_far_apart_as_the_ends_of_a_range():
    """Any two of them; and a missing parameter is told apart from all values."""
    columns = [Column(CategoricalDistribution("abc")), Column(FloatDistribution(0, 1))]
    points = np.array([[1 / 6, 0], [5 / 6, 0], [1 / 6, 1], [np.nan, 0], [1 / 6, np.nan]])
    x, owners = coordinates_of(columns, points, np.array([True, True]))
    assert owners.tolist() == [0, 0, 0, 0, 1, 1]
    distances = ((x[:, None] - x[None]) ** 2).sum(2)
    assert distances[0, 1] == pytest.approx(1) == distances[0, 2]
    assert distances[0, 3] >= 1 and distances[0, 4] >= 1
