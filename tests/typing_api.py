"""The public API as a user's type checker sees it; checked, not run."""

from collections.abc import Mapping
from datetime import timedelta

import flytekit as fl
import optuna

from flyteoptuna import (
    BatchSampler,
    ExportError,
    FlyteOptunaError,
    JournalConflictError,
    JournalError,
    JournalObjectBackend,
    Optimizer,
    SearchFailedError,
    SpaceError,
    StoreError,
    StudyFormatError,
    StudyNotFoundError,
    SuggestionFailedError,
    TargetExistsError,
    TaskNotLoadedError,
    TrialNotCompleteError,
    UnpicklableError,
    UntrustedError,
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
from flyteoptuna.space.suggestions import Category, Float, Integer


@fl.task
def objective(x: float, depth: int) -> float:
    trial = current_trial()
    trial.report(x, step=0)
    trial.set_user_attr("depth", depth)
    trial.set_constraint("size", x - depth)
    pruned: bool = trial.should_prune()
    number: int = trial.number
    return x if pruned else float(number)


@optimize
def bare(trial: optuna.Trial, depth: int) -> float:
    return objective(x=trial.suggest_float("x", 0, 1), depth=depth)


@optimize(concurrency=4, n_trials=20, batch_size=8, timeout=timedelta(hours=1), max_failures=3, avoid_duplicates=True)
def called(trial: optuna.Trial, depth: int) -> float:
    return objective(x=trial.suggest_float("x", 0, 1), depth=depth)


@optimize(directions=["minimize", optuna.study.StudyDirection.MAXIMIZE], sampler=BatchSampler(seed=1))
def of_two(trial: optuna.Trial) -> float:
    return objective(x=trial.suggest_float("x", 0, 1), depth=1)


def stop(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
    study.stop()


x: Float = suggest.float(0, 1, step=None, log=False)
n: Integer = suggest.integer(low=1, high=8, step=1, log=True)
kind: Category = suggest.category(["a", 1, 2.5, None, True])
optimizer: Optimizer = Optimizer(objective, concurrency=2, n_trials=4, study=optuna.create_study(), callbacks=[stop])
maximised: Optimizer = Optimizer(objective, n_trials=4, direction="maximize", pruner=optuna.pruners.MedianPruner())
enumerated: Category = suggest.category(list(optuna.trial.TrialState))
decorated: Optimizer = bare
configured: Optimizer = called
short: Optimizer = Optimizer(
    objective, 2, 4, direction="maximize", sampler=optuna.samplers.RandomSampler(), reuse_pods=True
)
errors: list[type[FlyteOptunaError]] = [
    *(SearchFailedError, SpaceError, SuggestionFailedError, TaskNotLoadedError, TrialNotCompleteError),
    *(
        StudyFormatError,
        StudyNotFoundError,
        UnpicklableError,
        UntrustedError,
        ExportError,
        TargetExistsError,
        StoreError,
    ),
]
loaded: optuna.Study = load_study("study.zip")
report(loaded, "report.html")
kept: Mapping[str, object] = outputs(loaded, 0)
given: dict[str, object] = inputs(loaded, 0)
given_typed: object = inputs(loaded, number=0, types={"depth": int})["depth"]
model: object = outputs(loaded, number=0, types={"model": str}, trusted=True).model
written: str = export(loaded, "trials.csv", overwrite=True)
refusals: list[type[Exception]] = [JournalError, JournalConflictError]
backend = JournalObjectBackend("s3://bucket/journal", poll=0.5, read_only=False)
shared: optuna.Study = optuna.create_study(storage=optuna.storages.JournalStorage(backend))
shared.tell(shared.ask(), 1.0)
simulated: testing.Simulation = testing.simulate(bare, {"depth": 1}, objective=lambda **inputs: 1.0, durations=[1, 2.5])
ended: list[float] = [ran.end for ran in simulated.timeline]
testing.check(simulated.study, bare, sampler=optuna.samplers.RandomSampler(seed=1))
made: testing.Run = testing.run(
    bare, kill=["a", 1, testing.RandomPods(2, seed=1)], drop=lambda pod: pod.index == 1, x=1
)
slow: float = testing.run(bare, {"x": 1}, delay={"a": 0.5, 3: 1}).pods[0].seconds

results: optuna.Study = optimizer(x=x, depth=3)
value: float = results.best_value
of_decorated: float = bare(depth=1).best_value + called(depth=1).best_value
counts: int = optimizer(x=x, depth=3).n_complete + bare.study.n_trials + called.study.n_fail
file: str | None = optimizer.study.file
params: dict[str, object] = bare(depth=1).best_params
nested: dict[str, object] = bare(depth=1).best_inputs
bare.study = optimizer.study
bare.concurrency, bare.n_trials = 4, 20


@fl.workflow
def in_a_workflow(concurrency: int) -> tuple[float, int, int, list[int]]:
    found = Optimizer(objective, concurrency, 4)(x=x, depth=3)
    return found.best_value, found.best_trial, found.n_pruned, found.best_trials


# What a type checker refuses; an `ignore` that is not needed is an error.
suggest.float("0", 1)  # type: ignore[arg-type]
suggest.integer(1, 8, step=0.5)  # type: ignore[arg-type]
suggest.category([["a"], ["b"]])  # type: ignore[list-item]
optimize(n_trails=4)  # type: ignore[call-overload]
Optimizer(objective, sampler="tpe")  # type: ignore[arg-type]
Optimizer(objective, direction=1)  # type: ignore[arg-type]
testing.run(bare, kill=1.5)  # type: ignore[arg-type]
testing.simulate(bare, {"depth": 1}, durations=None)  # type: ignore[arg-type]
optimize(n_jobs=4)  # type: ignore[call-overload]
_ = optimizer(x=x, depth=3).best_valeu  # type: ignore[attr-defined]
_ = called.study.trails  # type: ignore[attr-defined]
Optimizer(objective, callbacks=stop)  # type: ignore[arg-type]
Optimizer(objective, 2, 4, None, 8)  # type: ignore[call-arg]
current_trial().report("0.5", step=0)  # type: ignore[arg-type]
