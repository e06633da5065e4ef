"""A trial that takes longer than its timeout fails, and what it had started ends with it; the search goes on."""

import os
import time
from pathlib import Path

import pytest
from containers import CODE, alive, study_of
from local_searches import python

from flyteoptuna import Optimizer
from flyteoptuna.local.worker_pool import WORKERS, needs_process
from flyteoptuna.testing.engine.engine import Engine


def check(study, folder):
    assert [t.state.name for t in study.trials] == ["COMPLETE", "FAIL", "COMPLETE"]
    await_none(lambda: [each for each in Path("/proc").glob("[0-9]*/cwd") if leads_to(each, folder)])
    return study.trials[1].user_attrs["flyteoptuna:error"]


def await_none(processes):
    """A process that was killed ends soon, and not at once."""
    late = time.monotonic() + 600
    while left := processes():
        assert time.monotonic() < late, left
        time.sleep(0.05)


def leads_to(link, folder):
    try:
        return link.resolve() == folder
    except OSError:
        return False


@pytest.mark.parametrize("cold", [False, True])
def test_a_pod_that_is_reused_goes_on(tmp_path, flows, cold):
    """The one pod runs the trials before and after it."""
    folder = tmp_path / "trials"
    folder.mkdir()
    engine = Engine(tmp_path / "engine", CODE, cold=cold)
    study = study_of(engine.run(flows("flow_of_timeouts").hangs, {"folder": str(folder)})["o0"])
    assert check(study, folder) == "Trial 1 took longer than the timeout of its task, 8 s."
    assert len(engine.of(".worker-")) == 1


@pytest.mark.parametrize(("reuse", "concurrency"), [(True, 1), (True, 2), (False, 1), (False, 2)])
def test_a_local_run_goes_on(tmp_path, flows, monkeypatch, reuse, concurrency):
    """Its trials run in worker processes from the first on, a single one too."""
    monkeypatch.delenv(WORKERS, raising=False)
    flow = flows("flow_of_timeouts")
    study = Optimizer(flow.hanging, concurrency, 3, reuse_pods=reuse)(x=flow.X, folder=str(tmp_path))
    error = check(study, tmp_path)
    assert "longer than the timeout of its task, 8 s" in error if reuse else "its timeout of 8 s" in error
    assert os.getpid() not in {int(file.name.partition("-")[2]) for file in tmp_path.iterdir()}


@pytest.mark.parametrize(
    ("given", "count", "timeout", "expected"),
    [("", 1, None, False), ("", 1, 1.0, True), ("1", 1, 1.0, False), ("8", 1, 1.0, True), ("", 2, None, True)],
)
def test_a_debugger_gets_all_trials_in_one_process(monkeypatch, given, count, timeout, expected):
    """Where the variable says so, whatever their timeout."""
    monkeypatch.setenv(WORKERS, given)
    assert needs_process(count, timeout) == expected


STARTING = """
import subprocess, sys
from flyteoptuna.trial.timeouts import kill_child_processes

inner = "import subprocess, sys; p = subprocess.Popen(['sleep', '1000']); print(p.pid, flush=True); p.wait()"
outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])"
with subprocess.Popen([sys.executable, "-c", outer], stdout=subprocess.PIPE, text=True) as started:
    print(started.stdout.readline())
    kill_child_processes()
print(started.returncode)
"""


def test_processes_that_a_trial_started_are_killed(tmp_path):
    """With those that they have started."""
    made = python(tmp_path, "-c", STARTING, count="1")
    pid, code = made.stdout.split()
    assert code == "-9", made.stderr
    await_none(lambda: [each for each in (int(pid),) if alive(each)])
