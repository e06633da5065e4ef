"""A module that does not import optuna, so that whatever does is the library."""

import sys

import flytekit as fl

from flyteoptuna import Optimizer, current_trial, suggest


@fl.task
def objective(x: float) -> float:
    heavy = (
        "optuna",
        "plotly",
        "loky",
        "flyteoptuna.search.batches.driver",
        "flyteoptuna.flyte.study_type",
    )
    current_trial().set_user_attr("modules", [name for name in heavy if name in sys.modules])
    return x


@fl.workflow
def search() -> dict:
    study = Optimizer(objective, 1, 1)(x=suggest.float(0, 1))
    return study.best_params


@fl.task
def several(x: float) -> tuple[float, float]:
    return x, 1 - x


@fl.workflow
def pareto() -> list[int]:
    study = Optimizer(several, 2, 2, directions=["minimize", "minimize"])(x=suggest.float(0, 1))
    return study.best_trials
