"""What the project tells those who carry it on, and that its suite is a good guest on their machines."""

import configparser
import importlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import yaml

import flyteoptuna
from flyteoptuna import testing
from flyteoptuna.cli.main import main

TESTS = Path(__file__).parent
ROOT = TESTS.parent
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
from flyteoptuna.testing.engine.engine import Engine
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
    late = time.monotonic() + BOUND
    # What was killed may take a moment to be gone.
    while left := [process for process in Path("/proc").glob("[0-9]*/environ") if mark in environ(process)]:
        assert time.monotonic() < late, left
        time.sleep(0.05)


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


def test_the_workflow_runs_every_environment_of_tox_and_calls_nothing_else():
    """What is checked here is checked there, and the other way round."""
    config = configparser.ConfigParser()
    config.read(ROOT / "tox.ini")
    listed = {name.strip() for name in config["tox"]["env_list"].split(",")}
    sections = {name.removeprefix("testenv:") for name in config.sections() if name.startswith("testenv:")}
    [job] = yaml.safe_load((ROOT / ".github" / "workflows" / "tests.yml").read_text())["jobs"].values()
    runs = job["strategy"]["matrix"]["include"]
    assert sorted(run["env"] for run in runs) == sorted(listed)
    assert listed == sections | {"py310", "py311", "py312"}
    assert {f"py{run['python'].replace('.', '')}" for run in runs} == {"py310", "py311", "py312"}
    assert all(run["env"] in (f"py{run['python'].replace('.', '')}", *sections) for run in runs)
    *install, command = [step["run"] for step in job["steps"] if "run" in step]
    assert install == ["python -m pip install tox"]
    assert command == "python -m tox run --skip-missing-interpreters false -e ${{ matrix.env }}"


def test_the_reference_documents_every_public_name_and_every_command():
    """And each name that it documents can be imported from where it says."""
    documented = re.findall(r"^::: (\S+)$", (ROOT / "docs" / "api.md").read_text(), re.MULTILINE)
    for name in documented:
        module, _, attribute = name.rpartition(".")
        assert hasattr(importlib.import_module(module), attribute), name
    public = {f"flyteoptuna.{name}" for name in flyteoptuna.__all__ if name != "suggest"}
    suggestions = {f"flyteoptuna.suggest.{name}" for name in flyteoptuna.suggest.__all__}
    others = set(documented) - public - suggestions
    assert public | suggestions <= set(documented)
    assert {name.rpartition(".")[2] for name in others} == {type(flyteoptuna.current_trial()).__name__}
    commands = re.findall(r"^flyteoptuna (\w+) --help$", (ROOT / "docs" / "cli.md").read_text(), re.MULTILINE)
    assert sorted(commands) == sorted(main.commands)


def test_every_file_that_the_contributing_guide_names_is_there():
    """A file that is moved is moved there too."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    named = set(re.findall(r"`((?:flyteoptuna|tests|docs|examples)/[\w./-]*)`", text))
    assert len(named) > 10
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_the_page_about_testing_documents_every_public_name():
    """Of the tools for users' tests."""
    documented = re.findall(r"^::: (\S+)$", (ROOT / "docs" / "testing.md").read_text(), re.MULTILINE)
    assert sorted(documented) == sorted(f"flyteoptuna.testing.{name}" for name in testing.__all__)


def test_every_part_of_the_benchmarks_finds_what_it_measures():
    """They are run by hand, and a name that has moved would be known late."""
    code = (
        "import importlib; from benchmarks.__main__ import PARTS\n"
        "parts = {name: importlib.import_module(f'benchmarks.{name}') for name in PARTS}\n"
        "with parts['driver']._clocks(): print(len(parts))"
    )
    made = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert made.stdout.strip() == "7"
