"""The suite is a good guest on the machine that it runs on."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
BOUND = 600
"""Seconds after which a session is killed, so that this test fails where it would wait for ever."""
# A session says so in a line of its own when what it is to be interrupted at has begun, and would then run for ever.
BEGUN = "it has begun"
SESSIONS = {
    "a test": """
def test_that_waits():
    print(BEGUN, flush=True)
    while True:
        signal.pause()
""",
    "a search": """
@fl.task
def objective(x: float) -> float:
    print(BEGUN, flush=True)
    while True:
        signal.pause()
    return x

def test_that_searches():
    Optimizer(objective, 1, 1)(x=suggest.float(0, 1))
""",
    **{
        f"{how} pods": f"""
def test_that_runs_pods(flows, tmp_path):
    engine = Engine(tmp_path, CODE, cold={how == "cold"}, seconds=10**6)

    def watch():
        while sum(pod.stdout.count("asleep") for pod in engine.pods) < 2:
            time.sleep(0.05)
        print(BEGUN, flush=True)

    threading.Thread(target=watch, daemon=True).start()
    engine.run(flows("engine_flows").sleepers, {{"seconds": 10**6}})
"""
        for how in ("warm", "cold")
    },
}
HEAD = f"""
import signal, threading, time
import flytekit as fl
from containers import CODE
from engine import Engine
from flyteoptuna import Optimizer, suggest

BEGUN = {BEGUN!r}
"""
TAIL = """
def test_after_it():
    print("the next test runs")
"""


@pytest.mark.parametrize("what", SESSIONS)
def test_ctrl_c_ends_the_suite_at_once(what, tmp_path):
    """Whatever runs, no test fails for it, none is run after it, and no process stays behind."""
    (tmp_path / "test_it.py").write_text(HEAD + SESSIONS[what] + TAIL)
    mark = f"{tmp_path}/mark"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "pytest", "-p", "conftest", "-p", "no:cacheprovider", "-s", "test_it.py"]
    with subprocess.Popen(
        command, cwd=tmp_path, env={**environment, "MARK": mark}, stdout=subprocess.PIPE, text=True
    ) as session:
        bound = threading.Timer(BOUND, session.kill)
        bound.start()
        said = []
        for line in session.stdout:
            said.append(line)
            if BEGUN in line:
                session.send_signal(signal.SIGINT)
        bound.cancel()
    rest = "".join(said)
    assert BEGUN in rest, rest
    assert session.returncode == pytest.ExitCode.INTERRUPTED, rest
    assert "failed" not in rest and "the next test runs" not in rest
    assert not [process for process in Path("/proc").glob("[0-9]*/environ") if mark in environ(process)]


def environ(file):
    """The environment that a process was started with; nothing of one that has ended or is another user's."""
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""


def test_openmp_has_one_thread_in_whatever_the_suite_starts():
    """Threads that wait for each other would spin, and take minutes where others use the cores."""
    code = "import sklearn.ensemble, threadpoolctl as t; print({p['num_threads'] for p in t.threadpool_info()})"
    made = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert made.stdout.strip() == "{1}"
