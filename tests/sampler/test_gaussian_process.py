"""The Gaussian process against its formulas."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyteoptuna.sampler.gaussian_process import JITTER, Posterior, _loss, fit_scales, warp_values

RNG = np.random.default_rng(0)
X, RUNNING, NEW = (RNG.random((n, 4)) for n in (20, 5, 7))
# The second parameter has two coordinates.
OWNERS = np.array([0, 1, 1, 2])
Y = np.sin(5 * X[:, 0]) + X[:, 1]
SCALES = np.log([0.4, 0.7, 1.1, 1.3, 0.05])
NUMBERS = st.floats(allow_nan=False) | st.sampled_from([0.0, 1.0, 1e308, -1e308, math.inf, -math.inf])
KEYS = st.lists(st.tuples(st.just(0.0), NUMBERS) | st.tuples(st.just(1.0), st.integers(-3, 1), NUMBERS), min_size=1)


def kernel(a, b):
    z = (a[:, None] - b[None]) / np.exp(SCALES[OWNERS])
    r = np.sqrt(5 * (z**2).sum(2))
    return 1.3 * (1 + r + r**2 / 3) * np.exp(-r)


def test_the_gradient_is_that_of_the_loss():
    """By differences, for each scale."""
    _, gradient = _loss(X, OWNERS, Y, SCALES)
    for i, slope in enumerate(gradient):
        step = np.eye(len(SCALES))[i] * 1e-5
        rise = _loss(X, OWNERS, Y, SCALES + step)[0] - _loss(X, OWNERS, Y, SCALES - step)[0]
        assert slope == pytest.approx(rise / 2e-5, rel=1e-4, abs=1e-5)


def test_the_mean_knows_the_told_points_and_the_deviation_the_running_ones_too():
    """As the textbook has them, whether running points come at once or one by one."""
    posterior = Posterior(X, OWNERS, Y, SCALES)
    noise = 0.05 + JITTER
    mean = kernel(NEW, X) @ np.linalg.solve(kernel(X, X) + noise * np.eye(20), Y)
    known = np.vstack([X, RUNNING])
    solved = np.linalg.solve(kernel(known, known) + noise * np.eye(25), kernel(known, NEW))
    deviation = np.sqrt(1.3 - (kernel(NEW, known) * solved.T).sum(1))
    for conditioned in (
        posterior.with_running(RUNNING),
        posterior.with_running(RUNNING[:2]).with_running(RUNNING[2:]).with_running(RUNNING[:0]),
    ):
        assert conditioned.predict(NEW)[0] == pytest.approx(mean)
        assert conditioned.predict(NEW)[1] == pytest.approx(deviation)
    assert (posterior.predict(NEW)[1] > deviation).all()


def test_a_parameter_without_effect_has_a_long_scale():
    """And noise is told apart from the function."""
    x, owners = RNG.random((60, 3)), np.arange(3)
    y = np.sin(6 * x[:, 0])
    scales = np.exp(fit_scales(x, owners, y / y.std()))
    assert scales[0] < 0.5 * min(scales[1], scales[2]) and scales[-1] < 0.01
    noisy = y + RNG.standard_normal(60)
    assert np.exp(fit_scales(x, owners, noisy / noisy.std()))[-1] > 0.1


@given(KEYS.filter(lambda keys: any(not key[0] for key in keys)))
def test_warped_values_keep_the_order(keys):
    """For any numbers: equal ones stay equal, none overflows, and pruned trials are worse than all values."""
    warped = warp_values(keys)
    assert np.isfinite(warped).all() and abs(warped.mean()) < 1e-6
    assert warped.std() == pytest.approx(1) or np.ptp(warped) == 0
    ordered = [value for _, value in sorted(zip(keys, warped, strict=True))]
    assert all(a >= b for a, b in itertools.pairwise(ordered))
    assert len({*zip(keys, warped.tolist(), strict=True)}) == len({*keys})


def test_an_outlier_does_not_flatten_the_good_values():
    """Values that are worse than the median are spread by rank."""
    keys = [(0.0, float(v)) for v in range(20)]
    assert warp_values([*keys, (0.0, 1e9)]) == pytest.approx(warp_values([*keys, (0.0, 21.0)]), abs=1e-9)
