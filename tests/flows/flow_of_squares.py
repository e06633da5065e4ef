"""A module as a user writes it, loaded anew by every pod."""

import flytekit as fl
import optuna

from flyteoptuna import Optimizer, suggest


@fl.task
def scale() -> float:
    return 2.0


@fl.task
def square(x: float, params: dict[str, int | float | str], factor: float) -> float:
    if x > 0.84:
        raise ValueError("too high")
    return factor * x * x + params["depth"]


@fl.workflow
def search(concurrency: int = 3, n_trials: int = 7) -> tuple[optuna.Study, float, int]:
    start = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=3))
    study = Optimizer(square, concurrency, n_trials, study=start)(
        x=suggest.float(-1, 1), params={"depth": suggest.integer(0, 3), "kind": "tree"}, factor=scale()
    )
    return study, study.best_value, study.n_trials
