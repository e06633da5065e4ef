"""A search that goes on where another ended: wide at first, then near what was found.

pyflyte run examples/continued.py narrow_down
"""

import flytekit as fl
import optuna

from flyteoptuna import Optimizer, suggest


@fl.task
def himmelblau(x: float, y: float) -> float:
    """A function with four minima, all of them 0."""
    return (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2


@fl.task
def with_another_sampler(study: optuna.Study) -> optuna.Study:
    """The trials stay, and the search goes on with TPE, which learns from all of them at once."""
    study.sampler = optuna.samplers.TPESampler(seed=1, multivariate=False, constant_liar=True)
    return study


@fl.workflow
def narrow_down(concurrency: int = 6, n_trials: int = 30) -> tuple[float, float, int]:
    """The best value of the first search, that of both, and the number of trials of both."""
    start = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=2))
    space = {"x": suggest.float(-5, 5), "y": suggest.float(-5, 5)}
    wide = Optimizer(himmelblau, concurrency, n_trials, study=start)(**space)
    near = Optimizer(himmelblau, concurrency, n_trials, study=with_another_sampler(study=wide))(**space)
    return wide.best_value, near.best_value, near.n_trials
