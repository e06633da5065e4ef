"""The default sampler, and what is wrong with a sampler of the user's: for batches, or for want of a package."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from importlib.util import find_spec

import optuna
from optuna.samplers import BaseSampler
from optuna.study import StudyDirection

from flyteoptuna.storage.memory import SearchStudy, new_study

_NEEDS = {"GPSampler": ("torch", "scipy"), "CmaEsSampler": ("cmaes",), "QMCSampler": ("scipy",)}
"""Packages that optuna's samplers import late, which optuna itself does not bring."""

UNIVARIATE_FROM = 20
"""Batches from this size on are better served by univariate TPE: median best values of 10 seeds on Branin, Hartmann6
and Rastrigin at batches of 1, 10 and 50."""


def create(batch: int, seed: int, directions: Sequence[str] = ("minimize",)) -> SearchStudy:
    """A study with this library's default sampler.

    TPE with a constant liar, so that the trials of a batch keep apart; multivariate, as in optuna 5, for batches
    below ``UNIVARIATE_FROM``, and univariate from there on, where it finds better values.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True, multivariate=batch < UNIVARIATE_FROM)
    return new_study([StudyDirection[d.upper()] for d in directions], sampler, optuna.pruners.NopPruner())


def wasteful(study: optuna.Study, batch: int, dimensions: int | None) -> str:
    """What is wrong with a sampler that learns from populations smaller than the batch; empty where nothing is.

    Args:
        study: the study.
        batch: trials of a generation.
        dimensions: number of suggestions; None where it is not known.
    """
    sampler = study.sampler
    # Neither sampler tells its population in public.
    size = getattr(sampler, "_popsize", None) or getattr(sampler, "_population_size", None)
    if size is None and isinstance(sampler, optuna.samplers.CmaEsSampler) and dimensions:
        size = 4 + math.floor(3 * math.log(dimensions))
    if size is None or size >= batch:
        return ""
    return (
        f"{type(sampler).__name__} learns from populations of {size} trials, and batches of {batch} waste what exceeds "
        f"them: set its population to {batch} or more, or choose a smaller batch."
    )


def check_runs(sampler: BaseSampler) -> None:
    """Refuse a sampler that would fail once it has something to learn from.

    Raises:
        ImportError: a package is not installed that it, or one of the samplers that it is made of, needs.
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
    """A sampler and those that it is made of."""
    if id(sampler) in seen:
        return
    seen.add(id(sampler))
    yield sampler
    for value in getattr(sampler, "__dict__", {}).values():
        if isinstance(value, BaseSampler):
            yield from _parts(value, seen)
