"""Minimise a function of three variables, four trials at a time.

pyflyte run examples/quickstart.py train
pyflyte run examples/quickstart.py train --concurrency 8 --n_trials 80
"""

import flytekit as fl

from flyteoptuna import Optimizer, suggest


@fl.task
def objective(x: float, y: int, z: int, power: int) -> float:
    return (((x - 5) ** 2) + (y + 4) ** 4 + (3 * z - 3) ** 2) ** power


@fl.workflow
def train(concurrency: int = 4, n_trials: int = 20) -> float:
    optimizer = Optimizer(objective=objective, concurrency=concurrency, n_trials=n_trials)
    study = optimizer(
        x=suggest.float(low=-10, high=10),
        y=suggest.integer(low=-10, high=10),
        z=suggest.category([-5, 0, 3, 6, 9]),
        power=2,
    )
    return study.best_value
