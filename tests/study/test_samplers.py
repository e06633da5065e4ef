"""The default sampler, and samplers that do not suit batches."""

import optuna
import pytest

from flyteoptuna.study.samplers import create_default_study, population_warning


@pytest.mark.parametrize(("batch", "multivariate"), [(1, True), (19, True), (20, False), (100, False)])
def test_the_default_sampler_depends_on_the_batch(batch, multivariate):
    """Constant liar always; univariate from batches of 20 on."""
    sampler = create_default_study(batch, 1).sampler
    assert (sampler._constant_liar, sampler._multivariate) == (True, multivariate)


@pytest.mark.parametrize(
    ("make", "dimensions", "size"),
    [
        (lambda: optuna.samplers.CmaEsSampler(popsize=8), None, 8),
        (lambda: optuna.samplers.CmaEsSampler(), 10, 10),
        (lambda: optuna.samplers.CmaEsSampler(), None, None),
        (lambda: optuna.samplers.NSGAIISampler(population_size=20), 3, 20),
        (lambda: optuna.samplers.NSGAIIISampler(population_size=20), 3, 20),
        (lambda: optuna.samplers.TPESampler(), 3, None),
    ],
)
def test_a_population_smaller_than_the_batch_is_warned_of(make, dimensions, size):
    """Not one that is as large, nor a sampler without a population."""
    study = optuna.create_study(sampler=make())
    assert population_warning(study, size or 1, dimensions) == ""
    said = population_warning(study, (size or 1_000) + 1, dimensions)
    assert (f"populations of {size} trials, and batches of {(size or 0) + 1} waste" in said) == (size is not None)
