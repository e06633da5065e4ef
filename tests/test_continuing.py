"""What docs/continue.md shows, run as it stands there, one block after the other."""

import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import optuna
import pytest
from admin import Admin, literal_of, remote_of

PAGE = Path(__file__).parent.parent / "docs" / "continue.md"
BLOCK = re.compile(r"^``` ?\{? ?\.?(python|bash)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = {
    title: BLOCK.findall(text) for title, _, text in (part.partition("\n") for part in PAGE.read_text().split("\n## "))
}
KILLED = """
import os, signal
import flytekit as fl
from flyteoptuna import Optimizer, current_trial, suggest

@fl.task
def deadly(x: float) -> float:
    if current_trial().number == 6:
        os.kill(os.getpid(), signal.SIGKILL)
    return x

Optimizer(deadly, 1, 20, reuse_pods=REUSE)(x=suggest.float(0, 1))
"""


def code(title, language="python"):
    return [text for kind, text in BLOCKS[title] if kind == language]


@pytest.fixture
def page(tmp_path, monkeypatch):
    """The namespace of the page's file, and the source of a first study, in a folder of its own."""
    # The workflow of a later block belongs to the file too: flytekit reads a task's source.
    [text], [_, larger] = code(next(iter(BLOCKS))), code("From an execution")
    (tmp_path / "search.py").write_text(text + larger)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "search", raising=False)
    yield vars(__import__("search"))
    sys.modules.pop("search", None)


@pytest.fixture
def first(page):
    return page["Optimizer"](page["objective"], 4, 8)(x=page["suggest"].float(-10, 10))


def execution(monkeypatch, admin):
    monkeypatch.setattr("flytekit.remote.FlyteRemote", lambda config: remote_of(admin))


def test_from_a_file(page, first, tmp_path, monkeypatch):
    """In Python and on the command line."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    [text] = code("From a file")
    exec(text, page | {"FILE": first.file}, found := {})
    assert len(found["more"].trials) == 38 and len(found["study"].trials) == 8
    [lines] = code("From a file", "bash")
    # The latest is the one that the line before has made.
    for line, count in zip(lines.splitlines(), (38, 68), strict=True):
        command = shlex.split(line.replace("FILE", shlex.quote(first.file)))
        command[0] = str(Path(sys.executable).parent / command[0])
        made = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert f"{count} trials" in made.stdout + made.stderr, made.stderr


def test_from_an_execution(page, first, monkeypatch):
    """Outside a workflow, and by a task of one."""
    execution(monkeypatch, Admin({"o0": literal_of(first)}, []))
    loaded, _ = code("From an execution")
    exec(loaded.replace("EXECUTION", "ex"), page | {}, found := {})
    assert len(found["more"].trials) == 38
    assert page["go_on"](source="flyte://my-project/development/ex", n_trials=4) == 12


def test_the_command_for_an_execution_is_one(page, first):
    """Of which flytekit takes every option."""
    [line] = code("From an execution", "bash")
    assert re.fullmatch(r"pyflyte run --remote search.py train --study flyte://[\w-]+/[\w-]+/EXECUTION\n", line)


def test_after_a_failure(page, first, monkeypatch):
    """What was running has failed, and is not run again; the search has as many trials as it was to have."""
    asked = first.trials[-1].system_attrs
    first.add_trial(optuna.trial.create_trial(state=optuna.trial.TrialState.RUNNING, system_attrs=asked))
    nodes = [("n0", "", {}, {"study": literal_of(first)})]
    execution(monkeypatch, Admin({}, nodes, phase="FAILED", error="the pod was evicted"))
    [text] = code("After a failure")
    exec(text.replace("FAILED", "ex"), page | {}, found := {})
    states = [trial.state.name for trial in found["whole"].trials]
    assert states == ["COMPLETE"] * 8 + ["FAIL"] + ["COMPLETE"] * 11


@pytest.mark.parametrize("reuse", ["False", "True"])
def test_after_a_crash(page, tmp_path, monkeypatch, reuse):
    """The study of a process that was killed is found, of either kind, and continued."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "killed.py").write_text(KILLED.replace("REUSE", reuse))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    made = subprocess.run([sys.executable, "killed.py"], cwd=tmp_path, env=environment, check=False)
    assert made.returncode == -signal.SIGKILL
    [text] = code("After a crash")
    exec(text, page)
    # A file is saved every second, and a journal with each trial.
    assert page["left"] == 13 if reuse == "True" else 13 <= page["left"] < 20
    more = page["Optimizer"](page["objective"], 4, page["left"], study=page["study"])(x=page["suggest"].float(0, 1))
    assert len(more.trials) == 20 and [t.state.name for t in more.trials].count("FAIL") == 1


def test_from_another_study(page, first):
    """What is enqueued comes first, and the sampler is the given one."""
    [text] = code("From another study")
    exec(text, page | {"more": first}, found := {})
    third = found["third"]
    assert len(third.trials) == 1 + 8 + 10 - 1
    assert third.trials[0].params == {"x": 1.5}
    assert third.trials[0].state.name == "COMPLETE"


def test_every_section_is_tested():
    """A new one is added here too."""
    named = {name.removeprefix("test_").replace("_", " ") for name in globals() if name.startswith("test_")}
    assert {title.lower() for title in list(BLOCKS)[1:]} <= named
