"""Searches whose pods run one trial after another, and what may happen to them."""

import hashlib
import os
import signal
import sys
import threading
import time
from pathlib import Path

import flytekit as fl
import optuna
import pandas as pd
from flytekit.exceptions.user import FlyteRecoverableException
from flytekit.types.file import FlyteFile

from flyteoptuna import Optimizer, current_trial, suggest

X = suggest.float(0, 1)
# Trials that certainly run until their pods are killed, if all are to be killed.
CERTAIN_KILLS = 8


def value_of(x: float, k: int) -> float:
    return x * 1000 + k


def chance(*what: object) -> float:
    """A number between 0 and 1 that the same words always give."""
    return int.from_bytes(hashlib.sha256(repr(what).encode()).digest()[:4], "big") / 2**32


def begun(folder: str) -> int:
    """Note that the trial has begun once more; how often it has."""
    name = f"{current_trial().number}-{os.getpid()}-{time.monotonic_ns()}"
    Path(folder, name).touch()
    return len([*Path(folder).glob(f"{current_trial().number}-*")])


@fl.task
def unequal(x: float, k: int, folder: str) -> float:
    begun(folder)
    time.sleep(chance("length", current_trial().number) * 0.2)
    current_trial().set_user_attr("pid", os.getpid())
    return value_of(x, k)


@fl.workflow
def slots(folder: str, concurrency: int = 8, n_trials: int = 60) -> optuna.Study:
    optimizer = Optimizer(
        unequal, concurrency, n_trials, reuse_pods=True, sampler=optuna.samplers.RandomSampler(seed=1)
    )
    return optimizer(x=X, k=suggest.integer(0, 9), folder=folder)


@fl.task
def mortal(x: float, k: int, folder: str, seed: int, share: float) -> float:
    """Kill the pod at a random moment: before, within or after what the trial does."""
    times = begun(folder)
    number = current_trial().number
    if chance(seed, number, times) < share:
        delay = chance(seed, number, times, "when") * 0.1
        threading.Timer(delay, os.kill, (os.getpid(), signal.SIGKILL)).start()
        if number < CERTAIN_KILLS:
            signal.pause()
        time.sleep(delay * 2 * chance(seed, number, times, "length"))
    return value_of(x, k)


@fl.task(retries=2)
def mortal_and_retried(x: float, k: int, folder: str, seed: int, share: float) -> float:
    times = begun(folder)
    if chance(seed, current_trial().number, times) < share:
        os.kill(os.getpid(), signal.SIGKILL)
    current_trial().set_user_attr("times", times)
    return value_of(x, k)


@fl.workflow
def killed(folder: str, seed: int, share: float, concurrency: int = 4, n_trials: int = 24) -> optuna.Study:
    return Optimizer(mortal, concurrency, n_trials, reuse_pods=True)(
        x=X, k=suggest.integer(0, 9), folder=folder, seed=seed, share=share
    )


@fl.workflow
def killed_and_retried(folder: str, seed: int, share: float, n_trials: int = 10) -> optuna.Study:
    return Optimizer(mortal_and_retried, 3, n_trials, reuse_pods=True)(
        x=X, k=suggest.integer(0, 9), folder=folder, seed=seed, share=share
    )


@fl.task
def line(x: float) -> float:
    return x


def seeded() -> optuna.Study:
    return optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=5))


@fl.workflow
def plain(n_trials: int = 6, concurrency: int = 2) -> optuna.Study:
    return Optimizer(line, concurrency, n_trials, study=seeded(), reuse_pods=True)(x=X)


@fl.workflow
def batches_then_reused_then_batches() -> optuna.Study:
    first = Optimizer(line, 2, 4, study=seeded())(x=X)
    second = Optimizer(line, 2, 4, study=first, reuse_pods=True)(x=X)
    return Optimizer(line, 2, 4, study=second)(x=X)


@fl.task(retries=2)
def odd(x: float, folder: str) -> float:
    """A table of misfortunes, one a trial."""
    number, times = current_trial().number, begun(folder)
    if number == 0 and times < 3:
        raise FlyteRecoverableException("once more")
    if number == 1:
        raise FlyteRecoverableException("never")
    if number == 2:
        os._exit(7)
    if number == 3:
        sys.exit("leaving")
    if number == 4:
        raise Unpicklable(threading.Lock())
    if number == 5:
        return float("nan")
    if number == 6:
        current_trial().user_attrs["lock"] = threading.Lock()
    return x


class Unpicklable(Exception):
    pass


@fl.workflow
def odds(folder: str, n_trials: int = 8, concurrency: int = 3) -> optuna.Study:
    return Optimizer(odd, concurrency, n_trials, reuse_pods=True)(x=X, folder=folder)


@fl.task
async def both(x: float, table: pd.DataFrame, file: FlyteFile) -> tuple[float, float]:
    current_trial().set_constraint("c", x - 0.5)
    return x + len(table), number_in(file)


def number_in(file: FlyteFile) -> float:
    return float(Path(file).read_text())


@fl.task
def data() -> tuple[pd.DataFrame, FlyteFile]:
    path = Path(fl.current_context().working_directory) / "seven"
    path.write_text("7")
    return pd.DataFrame({"a": [1, 2, 3]}), FlyteFile(str(path))


@fl.workflow
def several() -> optuna.Study:
    table, file = data()
    optimizer = Optimizer(both, 2, 4, reuse_pods=True, directions=["minimize", "maximize"])
    return optimizer(x=X, table=table, file=file)


def by_hand(trial: optuna.Trial, folder: str) -> float:
    if trial.number == 2:
        raise optuna.TrialPruned("not this one")
    return unequal(x=trial.suggest_float("x", 0, 1), k=trial.suggest_int("k", 0, 9), folder=folder)


@fl.workflow
def called(folder: str, n_trials: int = 6) -> optuna.Study:
    return Optimizer(by_hand, 2, n_trials, reuse_pods=True)(folder=folder)


def stop_at_three(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
    if trial.number == 3:
        study.stop()


def enqueue_seven(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
    if trial.number == 0:
        study.enqueue_trial({"x": 0.7})
        study.set_user_attr("noted", trial.number)


def give_up(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
    if trial.number == 2:
        raise KeyError("the callback gives up")


@fl.workflow
def stopped(n_trials: int = 500) -> optuna.Study:
    return Optimizer(line, 2, n_trials, callbacks=[stop_at_three], reuse_pods=True)(x=X)


@fl.workflow
def enqueued(n_trials: int = 6) -> optuna.Study:
    return Optimizer(line, 1, n_trials, callbacks=[enqueue_seven], reuse_pods=True)(x=X)


@fl.workflow
def given_up(n_trials: int = 500) -> optuna.Study:
    return Optimizer(line, 2, n_trials, callbacks=[give_up], reuse_pods=True)(x=X)


@fl.task
def failing(x: float) -> float:
    if x >= 0:
        raise ValueError(f"no good {x}")
    return x


@fl.workflow
def ten_fail(n_trials: int = 500) -> optuna.Study:
    return Optimizer(failing, 2, n_trials, reuse_pods=True)(x=X)


@fl.workflow
def two_fail(n_trials: int = 500) -> optuna.Study:
    return Optimizer(failing, 2, n_trials, max_failures=2, reuse_pods=True)(x=X)


@fl.task
def settled(x: float) -> float:
    time.sleep(0.05)
    return x


@fl.workflow
def timed(timeout: float) -> optuna.Study:
    return Optimizer(settled, 2, 100_000, timeout=timeout, reuse_pods=True)(x=X)


@fl.task
def choose(a: int, b: bool) -> float:
    return a + b


@fl.workflow
def distinct(n_trials: int = 30) -> optuna.Study:
    optimizer = Optimizer(choose, 1, n_trials, avoid_duplicates=True, reuse_pods=True)
    return optimizer(a=suggest.integer(0, 2), b=suggest.category([True, False]))


@fl.workflow
def grid(n_trials: int = 30) -> optuna.Study:
    sampler = optuna.samplers.GridSampler({"a": [0, 1, 2], "b": [True, False]}, seed=1)
    optimizer = Optimizer(choose, 2, n_trials, sampler=sampler, reuse_pods=True)
    return optimizer(a=suggest.integer(0, 2), b=suggest.category([True, False]))


@fl.workflow
def brute(n_trials: int = 30) -> optuna.Study:
    optimizer = Optimizer(choose, 1, n_trials, sampler=optuna.samplers.BruteForceSampler(seed=1), reuse_pods=True)
    return optimizer(a=suggest.integer(0, 2), b=suggest.category([True, False]))


@fl.task
def slow_then_pruned(x: float, folder: str) -> float:
    """The first trial begins before any other has ended, and goes on until what the others report has it pruned."""
    if not begun_first(folder):
        current_trial().report(0.0, 1)
        current_trial().should_prune()
        return 0.0
    for turn in range(10_000):
        current_trial().report(100.0, 1)
        if current_trial().should_prune():
            raise optuna.TrialPruned(f"in turn {turn}")
        time.sleep(0.1)
    return 100.0


def begun_first(folder: str) -> bool:
    try:
        Path(folder, "first").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


@fl.workflow
def live(folder: str, n_trials: int = 6) -> optuna.Study:
    pruner = optuna.pruners.MedianPruner(n_startup_trials=2)
    return Optimizer(slow_then_pruned, 2, n_trials, pruner=pruner, reuse_pods=True)(x=X, folder=folder)


@fl.task
def slope(x: float) -> float:
    for step in range(1, 10):
        current_trial().report(x * step, step)
        if current_trial().should_prune():
            raise optuna.TrialPruned(f"at {step}")
    return x


@fl.workflow
def hyperband(n_trials: int = 16) -> optuna.Study:
    pruner = optuna.pruners.HyperbandPruner(min_resource=1, max_resource=9, reduction_factor=3)
    return Optimizer(slope, 2, n_trials, pruner=pruner, reuse_pods=True)(x=X)


@fl.task
def deadly(x: float) -> float:
    os.kill(os.getpid(), signal.SIGKILL)
    return x


@fl.workflow
def all_die(n_trials: int = 20) -> optuna.Study:
    return Optimizer(deadly, 2, n_trials, reuse_pods=True)(x=X)


@fl.task
def damaging(x: float, how: str, folder: str) -> float:
    """Find the journal, as a stranger would who has the right to write there, and damage it."""
    if current_trial().number == 3:
        [first] = Path(folder).glob("raw/**/00000000.json")
        entries = sorted(each for each in first.parent.glob("*.json") if each.stem.isdecimal())
        last = entries[-1]
        beyond = first.parent / f"{int(last.stem) + 1:08d}.json"
        if how == "half":
            beyond.write_bytes(last.read_bytes()[:40])
        elif how == "stranger":
            beyond.write_text("[1, 2, 3]")
        elif how == "copy":
            beyond.write_bytes(last.read_bytes())
        else:
            entries[2].unlink()
    return x


@fl.workflow
def damaged(how: str, folder: str) -> optuna.Study:
    return Optimizer(damaging, 1, 8, reuse_pods=True)(x=X, how=how, folder=folder)


@fl.task
def filling(x: float, number: int) -> float:
    """After a third trial of this process, its system makes no link any more."""

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    filling_calls.append(x)
    if len(filling_calls) > 2:
        os.link = refuse
    return x


filling_calls: list[float] = []
