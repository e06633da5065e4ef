"""A user's module of a search."""

import flytekit as fl

from flyteoptuna import Optimizer, suggest


@fl.task
def objective(x: float) -> float:
    """An objective."""
    return x * x


@fl.workflow
def train() -> float:
    """A search."""
    study = Optimizer(objective, concurrency=10, n_trials=100)(x=suggest.float(low=-10, high=10))
    return study.best_value  # type: ignore[no-any-return]
