"""Local runs: a batch's trials in worker processes, with the same study as one after another."""

import importlib.util
import os
import sys

import optuna
import pytest

from flyteoptuna import Optimizer, local, suggest
from flyteoptuna.study import ERROR_ATTRIBUTE


def searched(objective, monkeypatch, workers, **fixed):
    monkeypatch.setenv(local.WORKERS, workers)
    start = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=1, n_startup_trials=2))
    return Optimizer(objective, 3, 6, study=start)(x=suggest.float(0, 1), **fixed)


def test_trials_run_in_processes_of_their_own_and_change_nothing(flows, monkeypatch):
    """The study equals that of a run in one process, and no trial ran in the caller's."""
    busy = flows("flow_of_local").busy
    apart = searched(busy, monkeypatch, "2", seconds=0.2)
    together = searched(busy, monkeypatch, "1", seconds=0.0)
    assert [(t.params, t.values, t.state) for t in apart.trials] == [
        (t.params, t.values, t.state) for t in together.trials
    ]
    assert {t.user_attrs["process"] for t in together.trials} == {os.getpid()}
    processes = {t.user_attrs["process"] for t in apart.trials}
    assert len(processes) == 2 and os.getpid() not in processes


def test_a_worker_that_dies_fails_its_own_trial_alone(flows, monkeypatch):
    """The trials that ran beside it are run again."""
    study = searched(flows("flow_of_local").deadly, monkeypatch, "2", parent=os.getpid())
    assert [t.state.name for t in study.trials] == ["COMPLETE", "FAIL", *["COMPLETE"] * 4]
    assert "sent no report" in study.trials[1].user_attrs[ERROR_ATTRIBUTE]


GHOST = """
import os
import flytekit as fl

@fl.task
def here(x: float) -> float:
    return x + os.getpid()
"""


def test_what_no_other_process_can_load_runs_in_this_one(tmp_path, monkeypatch):
    """A module that only this process knows; the log says so."""
    (tmp_path / "of_another_name.py").write_text(GHOST)
    spec = importlib.util.spec_from_file_location("ghost", tmp_path / "of_another_name.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "ghost", module)
    spec.loader.exec_module(module)
    said = []
    monkeypatch.setattr(local.logger, "warning", lambda text, *args: said.append(text % args))
    study = searched(module.here, monkeypatch, "2")
    assert [t.value - t.params["x"] for t in study.trials] == [pytest.approx(os.getpid())] * 6
    assert "a worker process cannot load the task: ModuleNotFoundError" in said[0]


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5"])
def test_a_wrong_number_of_workers_is_refused(monkeypatch, value):
    """The variable and the value stand in the message."""
    monkeypatch.setenv(local.WORKERS, value)
    with pytest.raises(ValueError, match=f"`{local.WORKERS}` must be a positive int, but got '{value}'"):
        local.workers(4)


@pytest.mark.parametrize(("given", "concurrency", "expected"), [("1", 8, 1), ("3", 8, 3), ("8", 2, 2)])
def test_workers_never_exceed_the_concurrency(monkeypatch, given, concurrency, expected):
    """Fewer trials than workers need fewer workers."""
    monkeypatch.setenv(local.WORKERS, given)
    assert local.workers(concurrency) == expected


def test_by_default_the_machine_is_used(monkeypatch):
    """As many workers as there are cores."""
    monkeypatch.delenv(local.WORKERS, raising=False)
    assert local.workers(1000) == os.cpu_count()
