"""Plugins: one that calls its function in several processes, one that works around it; and objectives for them."""

import contextlib
import multiprocessing
import os
import signal
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cloudpickle
import flytekit as fl
import optuna
from flytekit import PythonFunctionTask
from flytekit.core.base_task import IgnoreOutputs
from flytekit.exceptions.user import FlyteRecoverableException
from flytekit.extend import TaskPlugins

from flyteoptuna import Optimizer, current_trial, suggest
from flyteoptuna.trial.current_trial import ActiveTrial

X = suggest.float(0, 1)


@dataclass
class Multiplied:
    """Calls the function in two processes, and returns what the first one returns."""

    method: str


class RankError(RuntimeError):
    """Raised by the plugin for a rank that has failed."""


def run_rank(function: Callable[..., Any] | bytes, rank: int, kwargs: dict[str, Any], connection: Any) -> None:
    """Body of a rank: send what the function returns, or its exception as text."""
    os.environ["RANK"] = str(rank)
    try:
        called = cloudpickle.loads(function) if isinstance(function, bytes) else function
        connection.send((True, called(**kwargs)))
    except FlyteRecoverableException as error:
        connection.send((None, str(error)))
    except BaseException:
        connection.send((False, traceback.format_exc()))


class MultipliedTask(PythonFunctionTask[Multiplied]):
    """The task of the plugin."""

    def execute(self, **kwargs: Any) -> Any:
        """Run the ranks; raise for the first one that has failed."""
        if kwargs["how"] == "the plugin raises":
            raise RankError("no ranks")
        if kwargs["how"] == "outputs are ignored":
            raise IgnoreOutputs("another pod has them")
        context, function = multiprocessing.get_context(self.task_config.method), self._task_function
        sent = cloudpickle.dumps(function) if self.task_config.method == "spawn" else function
        ranks = []
        for rank in range(2):
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(target=run_rank, args=(sent, rank, kwargs, theirs))
            process.start()
            theirs.close()
            ranks.append((process, ours))
        results = [receive(*rank) for rank in ranks]
        for rank, (succeeded, result) in enumerate(results):
            if succeeded is None:
                raise FlyteRecoverableException(result)
            if not succeeded:
                raise RankError(f"rank {rank} has failed\n{result}")
        return results[0][1]


def receive(process: Any, connection: Any) -> tuple[bool | None, Any]:
    """What a rank sent, or how it ended."""
    result = (False, "without a word")
    with contextlib.suppress(EOFError):
        result = connection.recv()
    process.join()
    return result


TaskPlugins.register_pythontask_plugin(Multiplied, MultipliedTask)


def alive(process: int) -> bool:
    """Whether a process runs; one that nobody waits for leaves its number."""
    try:
        return "(zombie)" not in Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False


def report_all(rank: int, trial: ActiveTrial, folder: Path) -> None:
    trial.report(float(rank), 0)
    trial.set_user_attr("rank", rank)
    if rank:
        trial.report(5.0, 1)
        trial.set_user_attr("only", trial.number)
        trial.set_constraint("c", -1.0)


def prune(rank: int, trial: ActiveTrial, folder: Path) -> None:
    trial.report(100.0, 0)
    if trial.should_prune():
        raise optuna.TrialPruned(f"by rank {rank}")


def raise_in(failing: int) -> Callable[[int, ActiveTrial, Path], None]:
    def act(rank: int, trial: ActiveTrial, folder: Path) -> None:
        trial.report(float(rank), 0)
        if rank == failing:
            raise ValueError(f"no good in rank {rank}")

    return act


def raise_after(first: int, errors: list[Exception]) -> Callable[[int, ActiveTrial, Path], None]:
    def act(rank: int, trial: ActiveTrial, folder: Path) -> None:
        note = folder / f"process of {trial.number}"
        if rank == first:
            note.write_text(str(os.getpid()))
        else:
            while not note.exists() or not note.read_text() or alive(int(note.read_text())):
                time.sleep(0.01)
        raise errors[rank]

    return act


PRUNED_AND_FAILED = [optuna.TrialPruned("by rank 0"), ValueError("no good in rank 1")]


def die(rank: int, trial: ActiveTrial, folder: Path) -> None:
    trial.report(float(rank), 0)
    if rank:
        os.kill(os.getpid(), signal.SIGKILL)


def leave(rank: int, trial: ActiveTrial, folder: Path) -> None:
    if rank:
        os._exit(3)


def recover(rank: int, trial: ActiveTrial, folder: Path) -> None:
    if rank and not (folder / "raised").exists():
        (folder / "raised").touch()
        raise FlyteRecoverableException("once more")


ACTS: dict[str, Callable[[int, ActiveTrial, Path], None]] = {
    "all is well": report_all,
    "all prune": prune,
    "rank 0 raises": raise_in(0),
    "rank 1 raises": raise_in(1),
    "rank 0 prunes, then rank 1 raises": raise_after(0, PRUNED_AND_FAILED),
    "rank 1 raises, then rank 0 prunes": raise_after(1, PRUNED_AND_FAILED),
    "rank 1 is killed": die,
    "rank 1 exits": leave,
    "rank 1 recovers": recover,
    "the plugin raises": leave,
    "outputs are ignored": leave,
}


def body(x: float, how: str, folder: str) -> float:
    ACTS[how](int(os.environ["RANK"]), current_trial(), Path(folder))
    return x


@fl.task(task_config=Multiplied("fork"), retries=1)
def forked(x: float, how: str, folder: str) -> float:
    return body(x, how, folder)


@fl.task(task_config=Multiplied("spawn"), retries=1)
def spawned(x: float, how: str, folder: str) -> float:
    return body(x, how, folder)


def grid(hows: list[str]) -> optuna.Study:
    sampler = optuna.samplers.GridSampler({"how": hows}, seed=1)
    return optuna.create_study(sampler=sampler, pruner=optuna.pruners.ThresholdPruner(upper=50.0))


FEW = ["all is well", "all prune", "rank 1 raises"]


@fl.workflow
def forks(folder: str) -> optuna.Study:
    optimizer = Optimizer(forked, 2, len(ACTS), study=grid([*ACTS]))
    return optimizer(x=0.5, how=suggest.category([*ACTS]), folder=folder)


@fl.workflow
def forks_reused(folder: str) -> optuna.Study:
    optimizer = Optimizer(forked, 2, len(ACTS), study=grid([*ACTS]), reuse_pods=True)
    return optimizer(x=0.5, how=suggest.category([*ACTS]), folder=folder)


@fl.workflow
def spawns(folder: str) -> optuna.Study:
    return Optimizer(spawned, 2, 3, study=grid(FEW))(x=0.5, how=suggest.category(FEW), folder=folder)


@fl.workflow
def spawns_reused(folder: str) -> optuna.Study:
    optimizer = Optimizer(spawned, 2, 3, study=grid(FEW), reuse_pods=True)
    return optimizer(x=0.5, how=suggest.category(FEW), folder=folder)
