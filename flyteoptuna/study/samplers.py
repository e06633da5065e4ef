"""The default sampler, and checks of a user's sampler: population size and missing packages."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from importlib.util import find_spec

import optuna
from optuna.samplers import BaseSampler
from optuna.study import StudyDirection

from flyteoptuna.internals.optuna_internals import population_size
from flyteoptuna.storage.search_study import SearchStudy, new_study

# Optional packages of optuna's samplers, which they import when they first suggest.
_NEEDS = {"GPSampler": ("torch", "scipy"), "CmaEsSampler": ("cmaes",), "QMCSampler": ("scipy",)}

# Batch size from which univariate TPE finds better values than multivariate TPE: medians of the best values of 10 seeds
# on Branin, Hartmann6 and Rastrigin, with batches of 1, 10 and 50.
UNIVARIATE_FROM = 20


def create_default_study(
    batch: int, seed: int, directions: Sequence[str] = ("minimize",), name: str = ""
) -> SearchStudy:
    """Create a study with the default sampler: TPE with a constant liar, which spreads the trials of a batch.

    It is multivariate, as in optuna 5, for batches below ``UNIVARIATE_FROM`` trials, and univariate otherwise.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True, multivariate=batch < UNIVARIATE_FROM)
    pruner = optuna.pruners.NopPruner()
    return new_study([StudyDirection[d.upper()] for d in directions], sampler, pruner, name or "flyteoptuna")


def population_warning(study: optuna.Study, batch: int, dimensions: int | None) -> str:
    """Text of a warning if the sampler's population is smaller than the batch, else empty.

    ``dimensions`` is the number of suggestions; None if it is not known.
    """
    size = population_size(study.sampler, dimensions)
    if size is None or size >= batch:
        return ""
    return (
        f"{type(study.sampler).__name__} learns from populations of {size} trials, and batches of {batch} waste what "
        f"exceeds them: set its population to {batch} or more, or choose a smaller batch."
    )


def check_sampler_packages(sampler: BaseSampler) -> None:
    """Refuse a sampler with missing packages, which would fail after its first random trials.

    Raises:
        ImportError: the sampler, or a sampler inside it, needs a package that is not installed.
    """
    for part in _parts(sampler, set()):
        for kind in type(part).__mro__:
            for package in _NEEDS.get(kind.__name__, ()) if kind.__module__.startswith("optuna.") else ():
                if find_spec(package) is None:
                    raise ImportError(
                        f"{kind.__name__} needs the package {package}, which is not installed where the search is run: "
                        "install it, or add it to the objective's image."
                    )


def _parts(sampler: BaseSampler, seen: set[int]) -> Iterator[BaseSampler]:
    """A sampler and the samplers inside it."""
    if id(sampler) in seen:
        return
    seen.add(id(sampler))
    yield sampler
    for value in getattr(sampler, "__dict__", {}).values():
        if isinstance(value, BaseSampler):
            yield from _parts(value, seen)
