"""A Gaussian process with a Matérn 5/2 kernel, one length scale for each parameter, in numpy alone."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flyteoptuna.sampler.columns import Array

# Steps and rate of Adam from each start, as in the prototype.
STEPS, RATE = 60, 0.1
# Means and standard deviations of the normal priors of the logarithms of the signal's and the noise's variance, for
# values of variance 1. The prior of a length grows with the root of the number of parameters, as in Hvarfner, Hellsten
# and Nardi, "Vanilla Bayesian Optimization Performs Great in High Dimensions" (ICML 2024).
SIGNAL, NOISE, LENGTH_DEVIATION = (0.0, 1.0), (math.log(1e-3), 2.0), 1.0
# Variance that is added to the noise, so that equal points can be told apart from errors of rounding.
JITTER = 1e-6


def warp_values(keys: Sequence[tuple[float, ...]]) -> Array:
    """Values as the process learns them: more is better, with mean 0 and variance 1.

    The half-rank warping of Song et al., "The Vizier Gaussian Process Bandit Algorithm" (2024): values that are worse
    than the median are spread by rank as a half normal.

    Args:
        keys: sort keys, less is better. One that begins with 0 continues with a value, and there is one at least.
    """
    valued = np.flatnonzero([not key[0] for key in keys])
    values = np.array([key[1] for key in keys if not key[0]])
    finite = values[np.isfinite(values)]
    values = np.clip(values, finite.min(), finite.max()) if len(finite) else np.sign(values)
    # Divided before anything else, because sums and squares may overflow.
    values = values / (np.abs(values).max() or 1.0)
    median = np.median(values)
    good = values <= median
    deviation = math.sqrt(np.mean((values[good] - median) ** 2)) or 1.0
    warped = np.full(len(keys), np.nan)
    warped[valued[good]] = values[good]
    worse = [i for i, value in enumerate(warped) if math.isnan(value)]
    ordered = sorted(keys[i] for i in worse)
    for i in worse:
        # Equal trials have the rank in their middle.
        rank = (bisect_left(ordered, keys[i]) + bisect_right(ordered, keys[i]) + 1) / 2
        warped[i] = median + deviation * NormalDist().inv_cdf(0.5 + 0.5 * rank / (len(worse) + 1))
    centred: Array = warped.mean() - warped
    return centred / (centred.std() or 1.0)


def _distances(a: Array, b: Array) -> Array:
    """Distances times the root of 5, as the kernel takes them."""
    found: Array = a @ b.T
    found *= -10
    found += 5 * (a * a).sum(1)[:, None]
    found += 5 * (b * b).sum(1)
    return np.sqrt(np.maximum(found, 0, out=found), out=found)


def _matern(distances: Array) -> Array:
    kernel: Array = distances / 3
    # In place, because most of the time of an ask is spent here.
    kernel += 1
    kernel *= distances
    kernel += 1
    kernel *= np.exp(-distances)
    return kernel


def fit_scales(x: Array, owners: NDArray[Any], y: Array) -> Array:
    """Fit the logarithms of the lengths, the signal's and the noise's variance: the best posterior of two starts."""
    root = math.sqrt(owners[-1] + 1)
    # One for values without noise, and one for values with much.
    starts = [(0.35 * root, 1e-3), (0.5 * root, 0.3)]
    fits = [_climb(x, owners, y, np.log([*[length] * (owners[-1] + 1), 1.0, noise])) for length, noise in starts]
    return min(fits, key=lambda fit: fit[0])[1]


def _climb(x: Array, owners: NDArray[Any], y: Array, scales: Array) -> tuple[float, Array]:
    """Adam; returns the lowest loss and where it was."""
    first, second, best = np.zeros_like(scales), np.zeros_like(scales), (math.inf, scales)
    for step in range(1, STEPS + 1):
        loss, gradient = _loss(x, owners, y, scales)
        if loss < best[0]:
            best = (loss, scales)
        first = 0.9 * first + 0.1 * gradient
        second = 0.99 * second + 0.01 * gradient**2
        scales = scales - RATE * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.99**step)) + 1e-8)
    return best


def _loss(x: Array, owners: NDArray[Any], y: Array, scales: Array) -> tuple[float, Array]:
    """Negative logarithm of the posterior of the scales, and its gradient."""
    n, n_lengths = len(x), len(scales) - 2
    means = np.array([*[math.log(0.5 * math.sqrt(n_lengths))] * n_lengths, SIGNAL[0], NOISE[0]])
    deviations = np.array([*[LENGTH_DEVIATION] * n_lengths, SIGNAL[1], NOISE[1]])
    signal, noise = np.exp(scales[-2:])
    z = x * np.exp(-scales[owners])
    distances = _distances(z, z)
    kernel = _matern(distances)
    covariance = signal * kernel
    covariance[np.diag_indices(n)] += noise + JITTER
    try:
        root = np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        return math.inf, np.zeros_like(scales)
    inverse = np.linalg.inv(covariance)
    alpha = inverse @ y
    from_prior = (scales - means) / deviations
    loss = 0.5 * float(y @ alpha) + float(np.log(np.diag(root)).sum()) + 0.5 * float(from_prior @ from_prior)
    pull = np.outer(alpha, alpha) - inverse
    # The derivative by a length needs the sum over pairs of `weight` times their squared distance in it.
    weight = pull * (5 / 3 * signal) * (1 + distances) * np.exp(-distances)
    pairs = 2 * (weight.sum(1) @ (z * z)) - 2 * (z * (weight @ z)).sum(0)
    lengths = np.bincount(owners, pairs, n_lengths)
    others = [(pull * kernel).sum() * signal, np.trace(pull) * noise]
    return loss, from_prior / deviations - 0.5 * np.array([*lengths, *others])


class Posterior:
    """The process after the told points, with the deviation that it has after the running ones too.

    Args:
        x: coordinates of the told points.
        owners: index of the parameter of each coordinate.
        y: their values.
        scales: as of ``fit_scales``.
    """

    def __init__(self, x: Array, owners: NDArray[Any], y: Array, scales: Array) -> None:
        self._inverse_lengths = np.exp(-scales[owners])
        self._signal, self._noise = np.exp(scales[-2:])
        self._z = x * self._inverse_lengths
        # The inverse of the Cholesky factor.
        self._factor = np.linalg.inv(np.linalg.cholesky(self._covariance(self._z)))
        self._weights = self._factor.T @ (self._factor @ y)

    def _covariance(self, z: Array) -> Array:
        covariance = self._kernel(z, z)
        covariance[np.diag_indices(len(z))] += self._noise + JITTER
        return covariance

    def _kernel(self, a: Array, b: Array) -> Array:
        kernel = _matern(_distances(a, b))
        kernel *= self._signal
        return kernel

    def with_running(self, x: Array) -> Posterior:
        """The same process, knowing that these points run."""
        other = object.__new__(Posterior)
        other.__dict__.update(self.__dict__)
        if not len(x):
            return other
        z = x * self._inverse_lengths
        reduced = self._factor @ self._kernel(self._z, z)
        corner = np.linalg.inv(np.linalg.cholesky(self._covariance(z) - reduced.T @ reduced))
        below = np.hstack([-corner @ reduced.T @ self._factor, corner])
        above = np.hstack([self._factor, np.zeros((len(self._factor), len(z)))])
        other._z, other._factor = np.vstack([self._z, z]), np.vstack([above, below])
        return other

    def predict(self, x: Array) -> tuple[Array, Array]:
        """Mean from the told points, and deviation from the told and the running ones."""
        kernel = self._kernel(self._z, x * self._inverse_lengths)
        reduced = self._factor @ kernel
        variance = self._signal - np.einsum("ij,ij->j", reduced, reduced)
        return self._weights @ kernel[: len(self._weights)], np.sqrt(np.maximum(variance, 1e-12))
