"""A local search and the commands run with standard streams of any kind, as plain Optuna does."""

import os
import subprocess
import sys

import pytest
from containers import CODE
from odd_streams import STREAMS, replace_streams

from flyteoptuna import Optimizer, suggest
from flyteoptuna.cli.main import main
from flyteoptuna.local.worker_pool import WORKERS

X = suggest.float(0, 1)


@pytest.mark.parametrize("reuse", [False, True], ids=["batches", "reused"])
@pytest.mark.parametrize("name", STREAMS)
def test_a_search_runs_with_any_streams(flows, monkeypatch, name, reuse):
    """In the calling process."""
    objective = flows("flow_of_surroundings").looking
    replace_streams(monkeypatch, name)
    study = Optimizer(objective, 2, 3, reuse_pods=reuse)(x=X)
    assert [t.state.name for t in study.trials] == ["COMPLETE"] * 3


@pytest.mark.parametrize("reuse", [False, True], ids=["batches", "reused"])
def test_worker_processes_start_without_streams(flows, monkeypatch, reuse):
    """None of the trials runs in the calling process."""
    objective = flows("flow_of_surroundings").looking
    monkeypatch.setenv(WORKERS, "2")
    replace_streams(monkeypatch, "none")
    study = Optimizer(objective, 2, 3, reuse_pods=reuse)(x=X)
    assert [t.state.name for t in study.trials] == ["COMPLETE"] * 3
    assert os.getpid() not in {t.user_attrs["process"] for t in study.trials}


DAEMON = """
import sys
import optuna
from flow_of_surroundings import looking
from flyteoptuna import Optimizer, suggest
if __name__ == "__main__":
    study = Optimizer(looking, 2, 3)(x=suggest.float(0, 1))
    print([t.state.name for t in study.trials], file=open("states", "w"))
"""


def test_a_search_runs_where_the_system_has_no_streams(tmp_path):
    """As in a daemon, with its worker processes; no file takes the place of a stream."""
    (tmp_path / "script.py").write_text(DAEMON)
    environment = {**os.environ, WORKERS: "2", "PYTHONPATH": os.pathsep.join([str(CODE), *filter(None, sys.path)])}
    command = f"exec {sys.executable} script.py <&- >&- 2>&-"
    subprocess.run(["sh", "-c", command], cwd=tmp_path, env=environment, check=True)
    assert (tmp_path / "states").read_text() == "['COMPLETE', 'COMPLETE', 'COMPLETE']\n"


@pytest.mark.parametrize("name", ["none", "closed", "write_only", "invalid"])
def test_commands_run_with_any_streams(flows, monkeypatch, tmp_path, name):
    """All of them that end by themselves; what they would print is dropped."""
    study = Optimizer(flows("flow_of_surroundings").looking, 1, 2)(x=X)
    replace_streams(monkeypatch, name)
    for command in (
        ["show", study.file],
        ["watch", study.file],
        ["report", study.file, "--to", str(tmp_path / "report.html")],
        ["export", study.file, "--to", f"sqlite:///{tmp_path}/study.db"],
        ["plan", f"{CODE.parents[1]}/examples/first_search.py:tune"],
    ):
        assert not main.main(command, standalone_mode=False), command
    assert (tmp_path / "report.html").exists() and (tmp_path / "study.db").exists()
