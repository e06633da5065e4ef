"""Searches with reused pods on this machine: worker processes over a journal in a folder."""

import os
import signal
import subprocess
import sys

import optuna
import pytest
from containers import CODE, results
from optuna.storages import JournalStorage
from searches import SAMPLERS

from flyteoptuna import Optimizer, load_study, suggest
from flyteoptuna.errors import SearchFailedError
from flyteoptuna.journal.backend import JournalObjectBackend
from flyteoptuna.local.worker_pool import WORKERS

FLOW = "flow_of_reused"
X = suggest.float(0, 1)


def check(study, n_trials):
    assert [t.number for t in study.trials] == list(range(n_trials))
    assert all(t.state.is_finished() for t in study.trials)


def test_worker_processes_run_each_trial_once(flows, monkeypatch, tmp_path):
    """Each in a process of its own, and none of them in this one."""
    monkeypatch.setenv(WORKERS, "2")
    study = Optimizer(flows(FLOW).unequal, 2, 9, reuse_pods=True)(x=X, k=suggest.integer(0, 9), folder=str(tmp_path))
    check(study, 9)
    assert all(t.value == t.params["x"] * 1000 + t.params["k"] for t in study.trials)
    assert os.getpid() not in {t.user_attrs["pid"] for t in study.trials}
    assert len([*tmp_path.iterdir()]) == 9


@pytest.mark.parametrize("name", SAMPLERS)
def test_one_worker_is_what_optuna_does_to_the_bit(flows, name):
    """Parameters, values and states, for each sampler; a study that was given stays as it is."""
    objective = flows(FLOW).choose
    space = {"a": suggest.integer(0, 2), "b": suggest.category([True, False])}
    sampler = SAMPLERS[name](3) if name != "grid" else optuna.samplers.GridSampler({"a": [0, 1, 2], "b": [True, False]})
    given = optuna.create_study(sampler=sampler)
    study = Optimizer(objective, 3, 6, study=given, reuse_pods=True)(**space)
    reference = optuna.create_study(sampler=sampler)
    reference.optimize(lambda t: t.suggest_int("a", 0, 2) + t.suggest_categorical("b", [True, False]), 6)
    assert results(study) == results(reference)
    assert not given.trials


def test_a_worker_process_that_dies_loses_its_trial_alone(flows, monkeypatch, tmp_path):
    """It is started again, and goes on."""
    monkeypatch.setenv(WORKERS, "2")
    objective = flows(FLOW).mortal
    inputs = {"x": X, "k": suggest.integer(0, 9), "folder": str(tmp_path), "seed": 5, "share": 0.3}
    study = Optimizer(objective, 2, 10, reuse_pods=True)(**inputs)
    check(study, 10)
    failed = [t for t in study.trials if t.state.name == "FAIL"]
    assert all(t.user_attrs["flyteoptuna:error"].startswith("The pod of worker ") for t in failed)
    assert {t.state.name for t in study.trials} <= {"COMPLETE", "FAIL"}


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize(
    ("name", "error", "match"),
    [("give_up", KeyError, "gives up"), (None, SearchFailedError, "`max_failures=1` was exceeded")],
)
def test_a_search_that_fails_keeps_its_study(flows, monkeypatch, said, workers, name, error, match):
    """The error is the callback's own, and the log or the error names the file."""
    monkeypatch.setenv(WORKERS, workers)
    flow = flows(FLOW)
    callbacks = [getattr(flow, name)] if name else []
    objective = flow.line if name else flow.failing
    with pytest.raises(error, match=match) as failed:
        Optimizer(objective, 2, 5000, reuse_pods=True, callbacks=callbacks, max_failures=1)(x=X)
    text = said[-1] if name else str(failed.value)
    study = load_study(text.rpartition("as it stands: ")[2].split()[0])
    assert 2 <= len(study.trials) < 5000


RUNNING = """
from flow_of_reused import settled
from flyteoptuna import Optimizer, suggest

if __name__ == "__main__":
    Optimizer(settled, 2, 100_000, reuse_pods=True)(x=suggest.float(0, 1))
"""


def complete(study):
    return {t.number for t in study.trials if t.state.name == "COMPLETE"}


def trials_in(journal):
    storage = JournalStorage(JournalObjectBackend(journal, read_only=True))
    return complete(optuna.load_study(study_name=None, storage=storage))


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize(("end", "code"), [(signal.SIGINT, 1), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_an_ended_search_loses_nothing(tmp_path, workers, end, code):
    """Its journal, which the first and the last lines of the log name, is a study, and plain Optuna reads it too."""
    (tmp_path / "running.py").write_text(RUNNING)
    path = os.pathsep.join([str(CODE), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, WORKERS: workers, "PYTHONPATH": path, "FLYTE_SDK_LOGGING_LEVEL": "20"}
    with subprocess.Popen(
        [sys.executable, "running.py"], cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        journal = next(line for line in process.stderr if "flyteoptuna watch" in line).split()[-1]
        while not (before := trials_in_or_none(journal)):
            assert process.poll() is None
        process.send_signal(end)
        rest = process.communicate(timeout=600)[1]
    assert process.returncode == code or (end == signal.SIGINT and process.returncode)
    # Of two workers the second may have been the first to end a trial.
    assert before <= trials_in(journal)
    study = load_study(journal, trusted=True)
    assert before <= complete(study) and isinstance(study.sampler, optuna.samplers.TPESampler)
    if end != signal.SIGKILL:
        assert rest.rpartition("The study as it stands: ")[2].split()[0] == journal


def trials_in_or_none(journal):
    try:
        return trials_in(journal)
    except (KeyError, RuntimeError):
        return set()
