"""A search with reused pods, as a user writes it."""

import flytekit as fl
import optuna

from flyteoptuna import Optimizer, suggest


@fl.task
def square(x: float) -> float:
    if x > 0.5:
        raise ValueError("too high")
    return x * x


@fl.workflow
def search(concurrency: int = 2, n_trials: int = 5) -> optuna.Study:
    start = optuna.create_study(study_name="shared", sampler=optuna.samplers.RandomSampler(seed=3))
    return Optimizer(square, concurrency, n_trials, study=start, reuse_pods=True)(x=suggest.float(-1, 1))
