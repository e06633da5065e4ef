"""Worker processes: a batch's trials beside each other, with the same study as one after another."""

import importlib.util
import os
import sys
import threading
from types import SimpleNamespace
from unittest import mock

import optuna
import pytest
from local_searches import searched

from flyteoptuna import Optimizer, TaskNotLoadedError, suggest
from flyteoptuna.flyte.caller_context import CallerContext
from flyteoptuna.local import worker_pool
from flyteoptuna.local.worker_pool import WORKERS, worker_count
from flyteoptuna.local.worker_process import TaskTransport, WorkerProcess
from flyteoptuna.search.trial_task import rebuild_trial_task, trial_task


def test_trials_run_in_processes_of_their_own_and_change_nothing(flows, monkeypatch, tmp_path):
    """The study equals that of a run in one process, and no trial ran in the caller's."""
    meeting = flows("flow_of_surroundings").meeting
    apart = searched(meeting, monkeypatch, "2", notes=str(tmp_path), processes=2)
    together = searched(meeting, monkeypatch, "1", notes=str(tmp_path), processes=1)
    assert [(t.params, t.values, t.state) for t in apart.trials] == [
        (t.params, t.values, t.state) for t in together.trials
    ]
    assert {t.user_attrs["process"] for t in together.trials} == {os.getpid()}
    processes = {t.user_attrs["process"] for t in apart.trials}
    assert len(processes) == 2 and os.getpid() not in processes


def test_pruners_decide_the_same_in_workers_and_in_one_process(flows, monkeypatch):
    """A pruner sees the study as it was asked, and not what others of its batch report meanwhile."""
    studies = []
    for count in ("1", "2"):
        monkeypatch.setenv(WORKERS, count)
        start = optuna.create_study(
            sampler=optuna.samplers.RandomSampler(seed=4), pruner=optuna.pruners.MedianPruner(n_startup_trials=2)
        )
        studies.append(Optimizer(flows("flow_of_local").pruned, 4, 16, study=start)(x=suggest.float(0, 1)))
    found = [[(t.params, t.state, t.intermediate_values) for t in study.trials] for study in studies]
    assert found[0] == found[1]
    assert "PRUNED" in {t.state.name for t in studies[0].trials}


GHOST = """
import os
import flytekit as fl

@fl.task
def here(x: float) -> float:
    return x + os.getpid()
"""


def test_what_no_other_process_can_load_by_name_goes_by_value(tmp_path, monkeypatch, said):
    """A module that only this process knows; the log says so."""
    (tmp_path / "of_another_name.py").write_text(GHOST)
    spec = importlib.util.spec_from_file_location("ghost", tmp_path / "of_another_name.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "ghost", module)
    spec.loader.exec_module(module)
    study = searched(module.here, monkeypatch, "2")
    processes = {round(t.value - t.params["x"]) for t in study.trials}
    assert len(study.trials) == 6 and os.getpid() not in processes
    assert "by value, for they cannot load it: ModuleNotFoundError" in said[0]


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5"])
def test_a_wrong_number_of_workers_is_refused(monkeypatch, value):
    """The variable and the value stand in the message."""
    monkeypatch.setenv(WORKERS, value)
    with pytest.raises(ValueError, match=f"`{WORKERS}` must be a positive int, but got '{value}'"):
        worker_count(4)


@pytest.mark.parametrize(("given", "concurrency", "expected"), [("1", 8, 1), ("3", 8, 3), ("8", 2, 2)])
def test_workers_never_exceed_the_concurrency(monkeypatch, given, concurrency, expected):
    """Fewer trials than workers need fewer workers."""
    monkeypatch.setenv(WORKERS, given)
    assert worker_count(concurrency) == expected


def test_workers_run_the_code_that_was_last_loaded(tmp_path, monkeypatch):
    """A module that was edited and reloaded, as in a notebook."""
    monkeypatch.syspath_prepend(str(tmp_path))
    file = tmp_path / "edited.py"
    for position, value in enumerate(("1.0", "222.0")):
        file.write_text(SCRIPT.partition("study =")[0].replace("VALUE", value))
        os.utime(file, (position, position))
        importlib.invalidate_caches()
        monkeypatch.delitem(sys.modules, "edited", raising=False)
        study = searched(importlib.import_module("edited").objective, monkeypatch, "2")
        assert study.best_value == float(value)


def test_by_default_the_machine_is_used(monkeypatch):
    """As many workers as there are cores."""
    monkeypatch.delenv(WORKERS, raising=False)
    assert worker_count(1000) == os.cpu_count()


SCRIPT = """
import flytekit as fl
from flyteoptuna import Optimizer, suggest

@fl.task
def objective(x: float) -> float:
    return VALUE

study = Optimizer(objective, 2, 4)(x=suggest.float(0, 1))
print("best", study.best_value)
"""


class InterruptedThread:
    def __init__(self, **settings):
        pass

    def start(self):
        raise KeyboardInterrupt


def test_ctrl_c_while_the_workers_start_ends_them(flows, monkeypatch):
    """None of them is left to a process that ends."""
    workers = [mock.Mock() for _ in range(2)]
    waiting = iter(workers)
    monkeypatch.setattr(worker_pool, "acquire", lambda: next(waiting))
    threads = SimpleNamespace(Thread=InterruptedThread, Condition=threading.Condition)
    monkeypatch.setattr(worker_pool, "threading", threads)
    with pytest.raises(KeyboardInterrupt):
        searched(flows("flow_of_local").pruned, monkeypatch, "2")
    assert [worker.end.call_count for worker in workers] == [1, 1]


def test_a_worker_that_its_search_ends_is_not_said_to_be_unable_to_load_the_task(flows, said):
    """Nor is the task sent by value."""
    task = flows("flow_of_local").pruned
    worker = WorkerProcess()
    worker.end()
    transport = TaskTransport(trial_task(task, ("x",), ()), rebuild_trial_task, task, context=CallerContext.current())
    with pytest.raises(TaskNotLoadedError):
        transport.prepare(worker)
    assert said == []
