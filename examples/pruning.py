"""Tune LightGBM on scikit-learn's breast cancer data, and stop trials early that learn too slowly.

pyflyte run examples/pruning.py tune
pyflyte run examples/pruning.py tune_on_reused_pods
"""

import flytekit as fl
import lightgbm
import optuna
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

from flyteoptuna import Optimizer, current_trial, suggest

ROUNDS = 60


@fl.task
def log_loss(learning_rate: float, num_leaves: int) -> float:
    """Log loss on a quarter of the data, after the last boosting round."""
    x, y = load_breast_cancer(return_X_y=True)
    x_train, x_test, y_train, y_test = train_test_split(x, y, random_state=0)
    trial, losses = current_trial(), []

    def report(env: lightgbm.callback.CallbackEnv) -> None:
        """Report the loss of a round, as the `LightGBMPruningCallback` of optuna-integration does."""
        losses.append(env.evaluation_result_list[0][2])
        trial.report(losses[-1], step=env.iteration)
        if trial.should_prune():
            raise optuna.TrialPruned

    params = {"objective": "binary", "learning_rate": learning_rate, "num_leaves": num_leaves, "num_threads": 1}
    train = lightgbm.Dataset(x_train, y_train)
    test = lightgbm.Dataset(x_test, y_test, reference=train)
    lightgbm.train({**params, "verbose": -1, "seed": 0}, train, ROUNDS, valid_sets=[test], callbacks=[report])
    return losses[-1]


SPACE = {"learning_rate": suggest.float(0.001, 0.5, log=True), "num_leaves": suggest.integer(4, 64, log=True)}
# A trial is pruned in round 10 or later if its loss is worse than the median of the trials before it in that round.
PRUNER = optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=10)


@fl.workflow
def tune(concurrency: int = 4, n_trials: int = 16) -> tuple[float, dict, int]:
    """In batches: a trial is compared with the batches before its own."""
    study = Optimizer(log_loss, concurrency, n_trials, pruner=PRUNER)(**SPACE)
    return study.best_value, study.best_params, study.n_pruned


@fl.workflow
def tune_on_reused_pods(concurrency: int = 4, n_trials: int = 16) -> tuple[float, dict, int]:
    """On pods that stay and take one trial after another: a trial is compared with all that have reported."""
    study = Optimizer(log_loss, concurrency, n_trials, pruner=PRUNER, reuse_pods=True)(**SPACE)
    return study.best_value, study.best_params, study.n_pruned
