"""What the documentation of Flyte's eager plugin shows, and docs/migrating.md says what becomes of."""

import flytekit as fl
import optuna
import pytest

from flyteoptuna import Optimizer, optimize, suggest


@fl.task
async def objective(params: dict[str, int | float | str]) -> float:
    return params["alpha"] * params["depth"]


SPACE = {"alpha": suggest.float(1e-8, 1.0, log=True), "depth": suggest.integer(3, 9, step=2), "booster": "dart"}


@optimize(direction="maximize")
def tuned(trial: optuna.Trial, verbosity: int):
    return objective({"verbosity": verbosity, "alpha": trial.suggest_float("alpha", 0.1, 1.0), "depth": 3})


def test_a_dictionary_and_a_study_are_taken_as_they_are(capsys):
    """And what the body of a workflow prints while it is compiled is a promise."""

    @fl.workflow
    def train(concurrency: int = 2, n_trials: int = 4) -> float:
        study = optuna.create_study(direction="maximize")
        optimizer = Optimizer(objective=objective, concurrency=concurrency, n_trials=n_trials, study=study)
        optimizer(params=SPACE)
        print(optimizer.study.best_value)  # noqa: T201 - as users do
        return optimizer.study.best_value

    assert 0 < train() <= 9
    printed = capsys.readouterr().out
    assert printed == "<promise of study.best_value>\n" * 2


def test_a_callback_is_set_in_the_body_of_a_workflow():
    """By attributes, which may be promises; it returns what its call of the objective returns."""

    @fl.workflow
    def train(concurrency: int = 2, n_trials: int = 4) -> float:
        tuned.concurrency, tuned.n_trials = concurrency, n_trials
        return tuned(verbosity=0).best_value

    assert 0.3 <= train() <= 3


def test_a_callback_inside_a_workflow_is_refused():
    """Pods would not find it."""

    def train():
        @optimize(n_trials=4, concurrency=2)
        def nested(trial: optuna.Trial, verbosity: int):
            return objective({"alpha": trial.suggest_float("alpha", 0.1, 1.0)})

    with pytest.raises(ValueError, match="at the top of a module"):
        train()


def test_a_workflow_has_no_image():
    """Flytekit says so; the drivers run in the objective's."""
    with pytest.raises(TypeError, match="container_image"):
        fl.workflow(container_image="registry/image:tag")
