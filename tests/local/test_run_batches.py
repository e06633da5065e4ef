"""Local runs: what is kept of a search, however it ends."""

import os
import signal
import subprocess
import sys
import tempfile

import flytekit as fl
import optuna
import pytest
from containers import CODE
from local_searches import python, searched

from flyteoptuna import Optimizer, load_study, suggest
from flyteoptuna.local import study_file
from flyteoptuna.local.worker_pool import WORKERS
from flyteoptuna.search.trial_task import trial_task
from flyteoptuna.storage.local_studies import local_studies


def test_an_interrupted_search_is_kept(flows, monkeypatch, said):
    """The log names the file, which holds every trial that has ended, and a search can go on with it."""
    flow = flows("flow_of_local")
    with pytest.raises(KeyboardInterrupt):
        searched(flow.interrupted, monkeypatch, "1")
    [path] = [text.partition("as it stands: ")[2] for text in said]
    study = load_study(path)
    assert [t.state.name for t in study.trials] == [*["COMPLETE"] * 5, "RUNNING"]
    more = Optimizer(flow.pruned, 1, 2, study=study)(x=suggest.float(0, 1))
    assert [t.number for t in more.trials if t.value is not None][-2:] == [6, 7]


def spoil(study, trial):
    if trial.number == 5:
        study.set_user_attr("model", object())


def give_up(study, trial):
    if trial.number == 5:
        raise KeyError(trial.number)


@pytest.mark.parametrize(("callback", "error"), [(spoil, TypeError), (give_up, KeyError)])
@pytest.mark.parametrize("n_trials", [6, 9])
def test_an_error_of_a_callback_keeps_the_study(flows, monkeypatch, callback, error, n_trials, said):
    """In the last batch too: all that has run is told and kept, and what cannot be saved is left out."""
    monkeypatch.setattr(study_file, "SAVE_INTERVAL", 0)
    monkeypatch.setattr(study_file, "MAX_SAVE_SHARE", float("inf"))
    start = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    optimizer = Optimizer(flows("flow_of_local").pruned, 3, n_trials, study=start, callbacks=[callback])
    with pytest.raises(error):
        optimizer(x=suggest.float(0, 1))
    study = load_study(said[-1].partition("as it stands: ")[2])
    assert len([t for t in study.trials if t.state.name == "COMPLETE"]) == 6


class Uncopied(optuna.samplers.RandomSampler):
    def __deepcopy__(self, memo):
        raise RuntimeError("no copies")


def test_a_sampler_that_cannot_be_copied_runs(flows, monkeypatch):
    """A save in the middle of a batch copies it, and is no reason to end a search."""
    monkeypatch.setattr(study_file, "SAVE_INTERVAL", 0)
    monkeypatch.setattr(study_file, "MAX_SAVE_SHARE", float("inf"))
    start = optuna.create_study(sampler=Uncopied(seed=1))
    study = Optimizer(flows("flow_of_local").pruned, 3, 6, study=start)(x=suggest.float(0, 1))
    assert len(study.trials) == 6 and len(load_study(study.file).trials) == 6


STOPPED = """
from flow_of_local import busy
from flyteoptuna import Optimizer, suggest

if __name__ == "__main__":
    Optimizer(busy, 2, 1000, batch_size=100)(x=suggest.float(0, 1), seconds=0.1)
"""


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_search(tmp_path, workers, sent):
    """Whoever runs the trials: those of the present batch that have ended are kept too."""
    (tmp_path / "stopped.py").write_text(STOPPED)
    environment = {**os.environ, WORKERS: workers, "PYTHONPATH": str(CODE)}
    with subprocess.Popen(
        [sys.executable, "stopped.py"], cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        next(line for line in process.stderr if "Trial 5:" in line)
        process.send_signal(sent)
        rest = process.communicate(timeout=600)[1]
    assert process.returncode == (143 if sent == signal.SIGTERM else process.returncode) != 0
    path = rest.partition("The study as it stands: ")[2].splitlines()[0]
    # Of two workers the second may have been the first to end a trial.
    assert 5 <= len([t for t in load_study(path).trials if t.state.name == "COMPLETE"]) <= 100


def test_a_killed_search_is_kept_as_it_was_saved_last(tmp_path):
    """In the middle of a batch too: the first lines of the log name its file."""
    (tmp_path / "stopped.py").write_text(STOPPED)
    environment = {**os.environ, WORKERS: "1", "PYTHONPATH": str(CODE)}
    with subprocess.Popen(
        [sys.executable, "stopped.py"], cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        path = next(line for line in process.stderr if "flyteoptuna watch" in line).split()[-1]
        while "COMPLETE" not in saved_states(path):
            assert process.poll() is None
        process.kill()
    states = saved_states(path)
    assert "COMPLETE" in states and states[-1] == "RUNNING" and len(states) == 100
    more = Optimizer(__import__("flow_of_local").pruned, 1, 1, study=load_study(path, trusted=True))
    assert len(more(x=suggest.float(0, 1)).trials) == 101


def saved_states(path):
    return [t.state.name for t in load_study(path).trials] if os.path.exists(path) else []


DROPPED = """
import signal
import flytekit as fl
from flyteoptuna import Optimizer, current_trial, suggest

class Freed:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)

@fl.task
def objective(x: float) -> float:
    if current_trial().number == 3:
        Freed()
    return x

if __name__ == "__main__":
    Optimizer(objective, 2, 1000, reuse_pods=REUSE)(x=suggest.float(0, 1))
"""


@pytest.mark.parametrize("reuse", ["True", "False"])
def test_ctrl_c_while_an_object_is_freed_ends_a_search(tmp_path, reuse):
    """Python drops what is raised there; the next trial does not begin."""
    (tmp_path / "dropped.py").write_text(DROPPED.replace("REUSE", reuse))
    made = python(tmp_path, "dropped.py", count="1")
    assert made.returncode and "Exception ignored in" in made.stderr
    study = load_study(made.stderr.rpartition("The study as it stands: ")[2].splitlines()[0])
    assert [t.number for t in study.trials if t.state.name == "COMPLETE"] == [0, 1, 2, 3]


def test_a_local_run_caches_nothing(flows, monkeypatch):
    """Flytekit's local cache would keep whole batches, failures and all."""
    flow = flows("flow_of_faults")
    monkeypatch.setenv(WORKERS, "1")
    for _ in range(2):
        study = searched_points(flow.cached)
        assert {t.params["point"]: t.state.name for t in study.trials} == {2: "FAIL", 3: "COMPLETE"}
    monkeypatch.setattr(flow.cached, "_task_function", lambda point, unit: 7.0)
    trial_task.cache_clear()
    assert {t.state.name for t in searched_points(flow.cached).trials} == {"COMPLETE"}


def searched_points(objective):
    grid = optuna.create_study(sampler=optuna.samplers.GridSampler({"point": [2, 3]}, seed=0))
    return Optimizer(objective, 2, 2, study=grid)(point=suggest.integer(2, 3), unit=1.0)


@fl.task
def nesting(x: float, reuse: bool) -> float:
    return Optimizer(plain, 1, 1, reuse_pods=reuse)(x=suggest.float(0, 1)).best_value


@fl.task
def plain(x: float) -> float:
    return x


@pytest.mark.parametrize("reuse", [False, True])
def test_a_search_inside_a_trial_is_not_the_latest(tmp_path, monkeypatch, reuse):
    """Nobody looks for it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    Optimizer(nesting, 1, 2, reuse_pods=reuse)(x=suggest.float(0, 1), reuse=reuse)
    [study] = local_studies()
    assert load_study(study.path).study_name.endswith("nesting")
