"""Objectives that end, return and keep what no one should, each kind by its number."""

import asyncio
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import flytekit as fl
import optuna

from flyteoptuna import Optimizer, current_trial, suggest


class SaysNothing(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


class SaysANumber(Exception):
    def __str__(self) -> Any:
        return 5  # noqa: PLE0307 - that is the misfortune


class HidesItsCause(Exception):
    @property
    def __cause__(self) -> Any:
        raise KeyError("cause")


class HidesItsClass(Exception):
    @property
    def __class__(self) -> Any:
        raise KeyError("class")


class Unpicklable(Exception):
    def __init__(self) -> None:
        super().__init__("locked")
        self.lock = threading.Lock()


class Apart(BaseException):
    pass


class NoFloat:
    def __float__(self) -> float:
        raise SystemExit(1)

    def __repr__(self) -> str:
        raise KeyError


class Endless(list[float]):
    def __iter__(self) -> Any:
        while True:
            yield 1.0


def chained(count: int) -> Exception:
    error = ValueError("the first")
    for i in range(count):
        error, error.__cause__ = ValueError(f"link {i}"), error
        error.__cause__, error.__context__ = error.__context__, error.__cause__
    return error


def circle() -> Exception:
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__cause__ = two, one
    return one


def raising(make: Callable[[], BaseException]) -> Callable[[], float]:
    def body() -> float:
        raise make()

    return body


def deep() -> float:
    return deep()


def nested(count: int) -> list[Any]:
    made: list[Any] = []
    for _ in range(count):
        made = [made]
    return made


def many_times_itself() -> list[Any]:
    made: list[Any] = [1]
    for _ in range(50):
        made = [made] * 10
    return made


def within_itself() -> list[Any]:
    made: list[Any] = []
    made.append(made)
    return made


def keeping(make: Callable[[], Any], key: str = "kept") -> Callable[[], float]:
    def body() -> float:
        current_trial().set_user_attr(key, make())
        return 1.0

    return body


def changed_later() -> float:
    kept: dict[str, Any] = {"a": 1}
    current_trial().set_user_attr("kept", kept)
    kept["a"], kept["b"] = object(), kept
    return 1.0


def by_the_thousand() -> float:
    for i in range(20_000):
        current_trial().set_user_attr(f"k{i}", i)
    return 1.0


def many_constraints() -> float:
    for i in range(60_000):
        current_trial().set_constraint(f"a constraint with a long name {i}", i)
    return 1.0


def by_threads() -> float:
    thread = threading.Thread(target=lambda: current_trial().report(1.0, 0))
    thread.start()
    thread.join()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: current_trial().set_user_attr("pool", True)).result()

    async def elsewhere() -> None:
        await asyncio.get_running_loop().run_in_executor(None, lambda: current_trial().report(2.0, 1))

    asyncio.run(elsewhere())
    return 1.0


def numpys_numbers() -> float:
    import numpy as np

    trial = current_trial()
    trial.set_user_attr("kept", {"a": np.float32(0.5), "b": [np.int64(3), np.bool_(True)]})
    trial.report(np.float32(1.0), np.int64(3))
    trial.report(2, "4")
    trial.report(1, 5.0)
    return float(np.float64(2))


def suggesting() -> float:
    return float(current_trial().suggest_float("x", 0, 1))


CASES: dict[str, tuple[Callable[[], Any], str, str]] = {
    "good": (lambda: 3.0, "COMPLETE", ""),
    "says nothing": (raising(SaysNothing), "FAIL", r"SaysNothing: \(its str raises ValueError\)"),
    "says a number": (raising(SaysANumber), "FAIL", r"SaysANumber: \(its str raises TypeError\)"),
    "hides its cause": (raising(HidesItsCause), "FAIL", "HidesItsCause"),
    "hides its class": (raising(HidesItsClass), "FAIL", "HidesItsClass"),
    "cannot be pickled": (raising(Unpicklable), "FAIL", "Unpicklable: locked"),
    "not an Exception": (raising(Apart), "FAIL", "Apart"),
    "cancelled": (raising(asyncio.CancelledError), "FAIL", "CancelledError"),
    "exit": (lambda: sys.exit("bye"), "FAIL", "SystemExit: bye"),
    "generator's exit": (raising(GeneratorExit), "FAIL", "GeneratorExit"),
    "stop iteration": (raising(StopIteration), "FAIL", "StopIteration"),
    "memory": (raising(MemoryError), "FAIL", "MemoryError"),
    "a thousand causes": (raising(lambda: chained(1000)), "FAIL", "ValueError: link 999"),
    "a circle of causes": (raising(circle), "FAIL", "ValueError: one"),
    "half a character": (raising(lambda: ValueError("\ud800\0")), "FAIL", r"ValueError: \\ud800\\x00"),
    "a long message": (raising(lambda: ValueError("x" * 5_000_000)), "FAIL", "ValueError: xxx"),
    "deep": (deep, "FAIL", "RecursionError"),
    "endless": (lambda: Endless(), "FAIL", r"must return 1 value\(s\), but it returned more than 1"),
    "no float": (lambda: NoFloat(), "FAIL", "SystemExit: 1"),
    "an object": (keeping(object), "FAIL", "`kept` must be something that JSON can hold"),
    "within itself": (keeping(within_itself), "FAIL", "deeper than 100, or holds itself"),
    "nested": (keeping(lambda: nested(50_000)), "FAIL", "deeper than 100"),
    "many times itself": (keeping(many_times_itself), "COMPLETE", ""),
    "a library's name": (keeping(int, "flyteoptuna:error"), "FAIL", "must not begin with `flyteoptuna:`"),
    "changed later": (changed_later, "COMPLETE", ""),
    "by the thousand": (by_the_thousand, "COMPLETE", ""),
    "too many constraints": (many_constraints, "FAIL", "The constraints of the trial take .* smaller `batch_size`"),
    "threads": (by_threads, "COMPLETE", ""),
    "numpy": (numpys_numbers, "COMPLETE", ""),
    "suggests": (suggesting, "FAIL", "no `suggest_float`: suggestions stand where a search is called"),
}


@fl.task
def misfortune(kind: str) -> float:
    result: float = CASES[kind][0]()
    return result


def planned() -> optuna.Study:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    for kind in CASES:
        study.enqueue_trial({"kind": kind})
    return study


@fl.workflow
def misfortunes(n_trials: int = len(CASES)) -> optuna.Study:
    return Optimizer(misfortune, 3, n_trials, study=planned(), batch_size=5)(kind=suggest.category(list(CASES)))


def steps_of(x: float, n: int) -> list[float]:
    return [(x - 0.3) ** 2 + n / 7 / (i + 1) for i in range(n)]


@fl.task
def pruned(x: float, n: int) -> float:
    value = 0.0
    for step, value in enumerate(steps_of(x, n)):
        current_trial().report(value, step)
        if current_trial().should_prune():
            raise optuna.TrialPruned
    return value


PRUNERS = {
    "hyperband": optuna.pruners.HyperbandPruner,
    "halving": lambda: optuna.pruners.SuccessiveHalvingPruner(min_resource="auto", reduction_factor=2),
    "patient": lambda: optuna.pruners.PatientPruner(optuna.pruners.HyperbandPruner(), 1),
}


def to_prune(pruner: str) -> optuna.Study:
    sampler = optuna.samplers.TPESampler(seed=2, n_startup_trials=4)
    return optuna.create_study(sampler=sampler, pruner=PRUNERS[pruner](), study_name="pruned")


@fl.workflow
def with_hyperband(n_trials: int = 12) -> optuna.Study:
    return Optimizer(pruned, 1, n_trials, study=to_prune("hyperband"))(x=suggest.float(0, 1), n=suggest.integer(1, 40))
