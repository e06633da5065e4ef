"""Refusals of the library, each raised below two frames of a user's: `refuse` and a function of the table."""

import os

import flytekit as fl
import optuna

from flyteoptuna import (
    JournalObjectBackend,
    Optimizer,
    SearchFailedError,
    SpaceError,
    StudyNotFoundError,
    current_trial,
    export,
    inputs,
    load_study,
    optimize,
    outputs,
    report,
    suggest,
    testing,
)

X = suggest.float(0, 1)
CHOICE = "FLYTEOPTUNA_TEST_REFUSAL"


@fl.task
def objective(x: float) -> float:
    return x


@fl.task
def failing(x: float) -> float:
    return float(f"too bad: {x}")


@fl.task
def refused_objective(x: float) -> float:
    current_trial().report("much", 0)
    return x


def no_call(trial):
    return trial.suggest_float("x", 0, 1)


def wrong_call(trial):
    return objective(x="much" if trial.suggest_float("x", 0, 1) < 2 else 1.0)


def value_of_call(trial):
    return objective(x=trial.suggest_float("x", 0, 1)) + 1


def optimizer(*args, **settings):
    return Optimizer(*(args or [objective]), **{"n_trials": 2, **settings})


def study():
    return optuna.create_study()


# The refusal by name: what a user calls, the error, and words of the message.
REFUSALS = {
    "setting": (lambda: Optimizer(objective, n_trial=3), TypeError, "no setting `n_trial`"),
    "count": (lambda: optimizer(concurrency=0), ValueError, "concurrency >= 1"),
    "attribute": (lambda: optimizer().best_vlaue, AttributeError, "has no attribute `best_vlaue`"),
    "assignment": (lambda: setattr(optimizer(), "trials", 3), AttributeError, "has no setting `trials`"),
    "decorator": (lambda: optimize(n_jobs=3)(objective), TypeError, "`concurrency` here"),
    "decorated": (lambda: optimize(n_trials="x")(objective), TypeError, "`n_trials` must be"),
    "best": (lambda: optimizer().best.model, TypeError, "before `best`"),
    "bound": (lambda: suggest.float(1, 0), SpaceError, "low <= high"),
    "choices": (lambda: suggest.category([]), SpaceError, "must not be empty"),
    "suggestion": (lambda: suggest.uniform(0, 1), AttributeError, "suggest.float"),
    "input": (lambda: optimizer()(x=X, y=3), TypeError, "has no input `y`"),
    "no_suggestion": (lambda: optimizer()(x=0.5), SpaceError, "must hold a suggestion"),
    "callback_without_task": (lambda: Optimizer(no_call, n_trials=2)(), TypeError, "names no task"),
    "callback_without_call": (lambda: optimizer(no_call, task=objective)(), SearchFailedError, "called no task"),
    "callback_with_wrong_input": (lambda: optimizer(wrong_call)(), SearchFailedError, "much"),
    "callback_with_value": (lambda: optimizer(value_of_call)(), SearchFailedError, "as it is"),
    "failed": (lambda: optimizer(failing)(x=X), SearchFailedError, "too bad"),
    "failed_workers": (lambda: optimizer(failing, reuse_pods=True)(x=X), SearchFailedError, "too bad"),
    "refused_objective": (lambda: optimizer(refused_objective)(x=X), SearchFailedError, "must be a number"),
    "trial": (lambda: current_trial().report(1.0, "first"), TypeError, "`step` must be"),
    "no_study": (lambda: load_study("/nowhere/at/all"), StudyNotFoundError, "There is no file"),
    "no_bucket": (lambda: load_study("memory://nowhere"), StudyNotFoundError, "memory://nowhere"),
    "source": (lambda: load_study(3), TypeError, "`source` must be"),
    "target": (lambda: export(study(), "study.txt"), ValueError, "sqlite:///study.db"),
    "page": (lambda: report("study", "page.html"), TypeError, "study"),
    "outputs": (lambda: outputs(study(), 3), LookupError, "3"),
    "inputs": (lambda: inputs(study(), 3), LookupError, "3"),
    "journal": (lambda: JournalObjectBackend("memory://journal"), RuntimeError, "a journal needs a store"),
    "simulation": (lambda: testing.simulate("optimizer", {}), TypeError, "optimizer"),
    "check": (lambda: testing.check("study", optimizer()), TypeError, "study"),
    "run": (lambda: testing.run("workflow"), TypeError, "workflow"),
}


def refuse(name):
    return REFUSALS[name][0]()


@fl.workflow
def refused() -> float:
    """The refusal that the environment names, in the body of a workflow."""
    refuse(os.environ[CHOICE])
    return objective(x=1.0)


@fl.task
def refused_in_task(name: str) -> float:
    refuse(name)
    return 1.0


@fl.workflow
def refused_by_task(name: str) -> float:
    return refused_in_task(name=name)


# Errors of the user's own, in code that the library calls.


def divide(*_):
    return 1 / 0


@fl.task
def dividing(x: float) -> float:
    return divide()


def dividing_callback(trial):
    return objective(x=trial.suggest_float("x", 0, divide()))


OWN = {
    "callback": lambda: optimizer(callbacks=[divide])(x=X),
    "callback_of_workers": lambda: optimizer(callbacks=[divide], reuse_pods=True)(x=X),
    "task": lambda: dividing(x=1.0),
}
