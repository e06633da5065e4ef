"""What callbacks that build the inputs of a trial may do: a kind a trial."""

import sys
from collections.abc import Callable
from typing import Any

import flytekit as fl
import numpy as np
import optuna
from hostile_objective import bear

from flyteoptuna import optimize


@fl.task
def another(x: float) -> float:
    return x


def called(trial: optuna.Trial, **inputs: Any) -> Any:
    return bear(**{"kind": "good", "x": trial.suggest_float("x", 0, 1), "n": 1, "choice": "a", **inputs})


def first(action: Callable[[optuna.Trial], Any]) -> Callable[[optuna.Trial], Any]:
    """Do something before the objective is called."""

    def build(trial: optuna.Trial) -> Any:
        action(trial)
        return called(trial)

    return build


def raising(error: BaseException) -> Callable[[optuna.Trial], Any]:
    def build(trial: optuna.Trial) -> Any:
        raise error

    return build


def mark(trial: optuna.Trial, value: Any) -> None:
    trial.storage.set_trial_system_attr(trial._trial_id, "flyteoptuna:trial", value)


def without_choice(trial: optuna.Trial) -> Any:
    return bear(kind="good", x=0.5, n=1)


def deep(trial: optuna.Trial) -> Any:
    return deep(trial)


BUILT: dict[str, tuple[str, str, Callable[[optuna.Trial], Any]]] = {
    "good": ("COMPLETE", "", called),
    "raises": ("FAIL", "KeyError: 'no'", raising(KeyError("no"))),
    "exits": ("FAIL", "SystemExit: bye", lambda trial: sys.exit("bye")),
    "prunes": ("PRUNED", "", raising(optuna.TrialPruned("enough"))),
    "deep": ("FAIL", "RecursionError", deep),
    "returns nothing": ("FAIL", "returned None", lambda trial: None),
    "returns a number": ("FAIL", r"returned 1\.0", lambda trial: 1.0),
    "returns a list": ("FAIL", "A trial is one call", lambda trial: [called(trial)]),
    "calls twice": ("FAIL", "must call one task, once", lambda trial: (called(trial), called(trial))[1]),
    "calls another": ("FAIL", "must call one task for all trials", lambda trial: another(x=0.5)),
    "works on the value": ("FAIL", "must return what .* returned", lambda trial: called(trial) + 1),
    "70 bits": (
        "FAIL",
        "Flyte's ints have 64 bits",
        lambda trial: called(trial, n=trial.suggest_int("big", 2**69, 2**70)),
    ),
    "a missing input": ("FAIL", "choice", without_choice),
    "one input more": ("FAIL", "more", lambda trial: called(trial, more=1)),
    "text for a number": ("FAIL", "`n`", lambda trial: called(trial, n="much")),
    "an object": ("FAIL", "`choice`", lambda trial: called(trial, choice=object())),
    "numpy's": ("COMPLETE", "", lambda trial: called(trial, x=np.float64(0.5), n=np.int64(2))),
    "large": ("FAIL", "must take at most", lambda trial: called(trial, choice="x" * 3_000_000)),
    "another distribution": ("FAIL", "x", lambda trial: called(trial, n=trial.suggest_int("x", 0, 3))),
    "a choice that JSON has not": (
        "FAIL",
        "Each choice of parameter `c`",
        first(lambda trial: trial.suggest_categorical("c", [(1, 2), (3,)])),
    ),
    "leaves an object": ("FAIL", "cannot be saved", first(lambda trial: trial.set_user_attr("left", object()))),
    "the library's mark": ("COMPLETE", "", first(lambda trial: mark(trial, {}))),
    "reports": ("COMPLETE", "", first(lambda trial: trial.report(1.0, 0))),
    "tells": ("COMPLETE", "", first(lambda trial: trial.study.tell(trial, 0.25))),
    "tells and raises": ("COMPLETE", "", first(lambda trial: trial.study.tell(trial, 0.25) and 1 / 0)),
    "fails itself": ("FAIL", "", first(lambda trial: trial.study.tell(trial, state=optuna.trial.TrialState.FAIL))),
    "leaves the study an object": ("COMPLETE", "", first(lambda trial: trial.study.set_user_attr("left", object()))),
}
"""How a trial ends, what is found in its reason, and what its callback does."""


@optimize(task=bear)
def built(trial: optuna.Trial) -> Any:
    return BUILT[trial.suggest_categorical("kind", list(BUILT))][2](trial)


def enqueued() -> optuna.Study:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    for kind in BUILT:
        study.enqueue_trial({"kind": kind})
    return study


@optimize(task=bear, reuse_pods=True)
def built_by_workers(trial: optuna.Trial) -> Any:
    return BUILT[trial.suggest_categorical("kind", list(BUILT))][2](trial)


@fl.workflow
def building() -> optuna.Study:
    built.concurrency, built.batch_size, built.n_trials, built.study = 4, 14, len(BUILT), enqueued()
    return built()


@fl.workflow
def reused() -> optuna.Study:
    built_by_workers.concurrency, built_by_workers.n_trials, built_by_workers.study = 1, len(BUILT), enqueued()
    return built_by_workers()
