"""Trials that look around, start processes, and die."""

import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import flytekit as fl

from flyteoptuna import current_trial


@fl.task
def looking(x: float) -> float:
    trial = current_trial()
    trial.set_user_attr("process", os.getpid())
    trial.set_user_attr("folder", os.getcwd())
    trial.set_user_attr("variable", os.environ.get("FLYTEOPTUNA_TEST", ""))
    trial.set_user_attr("path", [each for each in sys.path if each.startswith("/of/")])
    return x


def _square(number):
    return number * number


def _put(queue):
    queue.put(os.getpid())


@fl.task
def starting(x: float, method: str) -> float:
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    # As the loaders of PyTorch are: daemons, which get and put.
    processes = [context.Process(target=_put, args=(queue,), daemon=True) for _ in range(2)]
    for process in processes:
        process.start()
    found = {queue.get(timeout=600) for _ in processes}
    for process in processes:
        process.join()
    with context.Pool(1) as pool:
        assert pool.map(_square, [1, 2, 3]) == [1, 4, 9]
    return float(len(found))


@fl.task
def noting(x: float, notes: str, deadly: int) -> float:
    number = current_trial().number
    with Path(notes).open("a") as file:
        file.write(f"{number}\n")
    if number == deadly:
        os._exit(3)
    return x


@fl.task
def meeting(x: float, notes: str, processes: int) -> float:
    """Return once trials have begun in so many processes."""
    current_trial().set_user_attr("process", os.getpid())
    Path(notes, str(os.getpid())).touch()
    while len([*Path(notes).iterdir()]) < processes:
        time.sleep(0.05)
    return x


@fl.task
def sleeping(x: float, notes: str) -> float:
    started = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100_000)"])
    for pid in (os.getpid(), started.pid):
        Path(notes, str(pid)).touch()
    while True:
        time.sleep(0.1)
    return x


@fl.task
def long_first(x: float, notes: str) -> float:
    """The first trial ends when all others have ended."""
    number, folder = current_trial().number, Path(notes)
    while number == 0 and len([*folder.iterdir()]) < 3:
        time.sleep(0.05)
    (folder / str(number)).write_text(str(os.getpid()))
    return x
