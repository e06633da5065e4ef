"""How worker processes end: with their parent, with what they have started, and without harm where they were idle."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest
from containers import CODE, alive
from local_searches import python, searched

from flyteoptuna.local import worker_process
from flyteoptuna.local.worker_pool import WORKERS

SLEEPING = """
from flow_of_surroundings import sleeping
from flyteoptuna import Optimizer, suggest

if __name__ == "__main__":
    Optimizer(sleeping, 2, 4)(x=suggest.float(0, 1), notes={notes!r})
"""


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_their_parent(tmp_path, sent):
    """However it is ended, in the middle of trials that never end; and so does what these have started."""
    (tmp_path / "script.py").write_text(SLEEPING.format(notes=str(tmp_path / "notes")))
    (tmp_path / "notes").mkdir()
    environment = {**os.environ, WORKERS: "2", "PYTHONPATH": os.pathsep.join([str(CODE), *sys.path])}
    with subprocess.Popen([sys.executable, "script.py"], cwd=tmp_path, env=environment, stderr=subprocess.PIPE) as made:
        while len(pids := [int(file.name) for file in (tmp_path / "notes").iterdir()]) < 4:
            assert made.poll() is None
            time.sleep(0.05)
        made.send_signal(sent)
        made.communicate(timeout=600)
    deadline = time.monotonic() + 600
    while any(map(alive, pids)):
        assert time.monotonic() < deadline, "a worker process outlives its parent"
        time.sleep(0.05)


def test_a_worker_that_dies_idle_costs_nothing(flows, monkeypatch):
    """Between two searches, or while it waits for another's trial: it is started again."""
    looking = flows("flow_of_surroundings").looking
    for _ in range(2):
        study = searched(looking, monkeypatch, "2")
        assert [t.state.name for t in study.trials] == ["COMPLETE"] * 6
        assert os.getpid() not in {t.user_attrs["process"] for t in study.trials}
        executors = [worker._executor for worker in worker_process._idle if worker._executor is not None]
        assert executors
        for process in [process for executor in executors for process in executor._processes]:
            os.kill(process, signal.SIGKILL)
        while not all(executor._flags.broken or not executor._processes for executor in executors):
            time.sleep(0.05)


CHILD = """
import multiprocessing
import os
import flytekit as fl
from flyteoptuna import Optimizer, suggest
from flyteoptuna.local import worker_process

@fl.task
def objective(x: float) -> float:
    return x

def search():
    before = len(worker_process._idle)
    study = Optimizer(objective, 2, 4)(x=suggest.float(0, 1))
    print(before, len(study.trials), len(worker_process._idle), flush=True)

if __name__ == "__main__":
    BEGIN
    child = multiprocessing.get_context("METHOD").Process(target=search)
    child.start()
    child.join()
    print(child.exitcode)
"""


@pytest.mark.parametrize(
    ("begin", "method", "said"), [("pass", "spawn", "0 4 0 0"), ("search()", "fork", "0 4 [12] 0 4 0 0")]
)
def test_a_child_process_keeps_no_workers(tmp_path, begin, method, said):
    """It would wait for them before it ends; those of its parent are none of its own."""
    (tmp_path / "script.py").write_text(CHILD.replace("BEGIN", begin).replace("METHOD", method))
    made = python(tmp_path, "script.py", count="2")
    # One worker that has not begun when the other has run all trials is not kept.
    assert re.fullmatch(said, " ".join(made.stdout.split())), made.stderr
