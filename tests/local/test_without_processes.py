"""Where no worker process can be started, or no further one, both kinds of search run all the same."""

import multiprocessing
import os
import re
import threading

import loky
import pytest
from loky.backend import popen_loky_posix

from flyteoptuna import Optimizer, suggest
from flyteoptuna.local import worker_process
from flyteoptuna.local.worker_pool import WORKERS
from flyteoptuna.local.worker_process import WorkerDiedError, WorkerNotStartedError, WorkerProcess

LAUNCH, START = popen_loky_posix.Popen._launch, threading.Thread.start


def refuse(error):
    def raising(*_, **__):
        raise error

    return raising


def in_daemonic_process(patch):
    patch.setitem(multiprocessing.current_process()._config, "daemon", True)


def without_semaphores(patch):
    patch.setattr(loky, "ProcessPoolExecutor", refuse(OSError(38, "Function not implemented")))


def without_synchronisation(patch):
    patch.setattr(loky, "ProcessPoolExecutor", refuse(ImportError("This platform lacks sem_open")))


def without_forks(patch):
    patch.setattr(popen_loky_posix.Popen, "_launch", refuse(BlockingIOError(11, "Resource temporarily unavailable")))


def without_descriptors(patch):
    patch.setattr(popen_loky_posix.os, "pipe", refuse(OSError(24, "Too many open files")))


def without_threads(patch):
    def start(thread):
        # Flytekit needs one for its event loop.
        named = (thread.name, getattr(thread._target, "__module__", None) or "")
        if named[0].startswith("ThreadPoolExecutor") or named[1].startswith(("flyteoptuna", "loky")):
            raise RuntimeError("can't start new thread")
        START(thread)

    patch.setattr(threading.Thread, "start", start)


REFUSALS = {
    in_daemonic_process: "daemonic processes are not allowed to have children",
    without_semaphores: "OSError: .* Function not implemented",
    without_synchronisation: "ImportError: This platform lacks sem_open",
    without_forks: "BlockingIOError: .* Resource temporarily unavailable",
    without_descriptors: "OSError: .* Too many open files",
    without_threads: "can't start new thread",
}


@pytest.fixture(autouse=True)
def no_idle_workers(monkeypatch):
    """No process of an earlier search runs the trials."""
    monkeypatch.setattr(worker_process, "_idle", [])


def search(flows, *, reuse, n_trials=4):
    study = Optimizer(flows("flow_of_surroundings").looking, 2, n_trials, reuse_pods=reuse)(x=suggest.float(0, 1))
    assert [t.state.name for t in study.trials] == ["COMPLETE"] * n_trials
    assert all(t.value == t.params["x"] for t in study.trials)
    return {t.user_attrs["process"] for t in study.trials}


@pytest.mark.parametrize("reuse", [False, True], ids=["batches", "reused"])
@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal.__name__)
def test_trials_run_here_where_no_process_can_be_started(flows, monkeypatch, said, refusal, reuse):
    """One after another; one warning says why."""
    monkeypatch.setenv(WORKERS, "2")
    with monkeypatch.context() as patch:
        refusal(patch)
        assert search(flows, reuse=reuse) == {os.getpid()}
    [warning] = said
    assert warning.startswith("Trials run one after another, for no worker process can run them: ")
    assert re.search(REFUSALS[refusal], warning)


@pytest.mark.parametrize("reuse", [False, True], ids=["batches", "reused"])
def test_one_process_runs_all_trials_where_there_is_no_second(flows, monkeypatch, said, reuse):
    """The calling process runs none of them."""
    monkeypatch.setenv(WORKERS, "2")
    started = []

    def launch(popen, process):
        if started:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        started.append(process)
        LAUNCH(popen, process)

    monkeypatch.setattr(popen_loky_posix.Popen, "_launch", launch)
    assert len(search(flows, reuse=reuse) | {os.getpid()}) == 2
    assert said == []


@pytest.mark.parametrize("reuse", [False, True], ids=["batches", "reused"])
def test_trials_run_here_once_all_processes_are_gone(flows, monkeypatch, said, reuse):
    """Processes that have died, and cannot be started again: the trials that they ran have failed, and no others."""
    monkeypatch.setenv(WORKERS, "2")
    call = WorkerProcess.call
    calls = []

    def call_once(worker, function, *args):
        if function.__name__ in {"run_trial", "run_worker"}:
            calls.append(worker)
            if calls.count(worker) == 1:
                raise WorkerDiedError("SIGKILL(-9)")
            raise WorkerNotStartedError("BlockingIOError: Resource temporarily unavailable")
        return call(worker, function, *args)

    monkeypatch.setattr(WorkerProcess, "call", call_once)
    study = Optimizer(flows("flow_of_surroundings").looking, 2, 4, reuse_pods=reuse)(x=suggest.float(0, 1))
    done = [t for t in study.trials if t.state.name == "COMPLETE"]
    assert len(study.trials) == 4 and len(done) >= 2
    assert {t.user_attrs["process"] for t in done} == {os.getpid()}
    assert any("A worker process less: BlockingIOError" in line for line in said)
