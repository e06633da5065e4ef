"""An objective that saves checkpoints, fails, and notes what each attempt finds."""

import os
import signal
from pathlib import Path

import flytekit as fl
import optuna
from flytekit.exceptions.user import FlyteRecoverableException

from flyteoptuna import Optimizer, current_trial, suggest

X = suggest.float(0, 1)


def fail(how: str) -> None:
    if how == "raise":
        raise FlyteRecoverableException("once more")
    os.kill(os.getpid(), signal.SIGKILL)


@fl.task(retries=3)
def saving(x: float, folder: str, how: str) -> float:
    """The first trial does a step of ``how`` in each attempt, ``save`` or a failure after or before it."""
    number, checkpoint = current_trial().number, fl.current_context().checkpoint
    notes = Path(folder, str(number))
    attempt = len(notes.read_text().splitlines()) if notes.exists() else 0
    with notes.open("a") as file:
        print(checkpoint.prev_exists(), (checkpoint.read() or b"nothing").decode(), file=file)
    for step in how.split(",")[attempt].split() if number == 0 else ["save"]:
        if step == "save":
            checkpoint.write(f"{number} {attempt}".encode())
        else:
            fail(step)
    return x


@fl.workflow
def batches(folder: str, how: str, concurrency: int) -> optuna.Study:
    return Optimizer(saving, concurrency, 4)(x=X, folder=folder, how=how)


@fl.workflow
def reused(folder: str, how: str, concurrency: int) -> optuna.Study:
    return Optimizer(saving, concurrency, 4, reuse_pods=True)(x=X, folder=folder, how=how)
