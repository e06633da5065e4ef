"""A search that goes on with a study of the command line."""

import flytekit as fl
import optuna

from flyteoptuna import Optimizer, suggest


@fl.task
def line(x: float) -> float:
    return x


@fl.workflow
def train(study: optuna.Study, n_trials: int = 2) -> int:
    return Optimizer(line, 2, n_trials, study=study)(x=suggest.float(0, 1)).n_trials


START = optuna.create_study(direction="maximize")
START.enqueue_trial({"x": 0.5})


@fl.workflow
def started(study: optuna.Study = START) -> int:
    return Optimizer(line, 2, 2, study=study)(x=suggest.float(0, 1)).n_trials


@fl.task
def count(study: optuna.Study) -> int:
    return len(study.trials)
