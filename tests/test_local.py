"""Local runs: a batch's trials in worker processes, with the same study as one after another."""

import importlib.util
import os
import signal
import subprocess
import sys

import optuna
import pytest
from containers import CODE

from flyteoptuna import Optimizer, driver, load_study, local, suggest
from flyteoptuna.study import ERROR_ATTRIBUTE
from flyteoptuna.trials import trial_task


@pytest.fixture
def said(monkeypatch):
    """The warnings of the library."""
    texts = []
    monkeypatch.setattr(local.logger, "warning", lambda text, *args: texts.append(text % args))
    return texts


def searched(objective, monkeypatch, workers, **fixed):
    monkeypatch.setenv(local.WORKERS, workers)
    start = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=1, n_startup_trials=2))
    return Optimizer(objective, 3, 6, study=start)(x=suggest.float(0, 1), **fixed)


def test_trials_run_in_processes_of_their_own_and_change_nothing(flows, monkeypatch):
    """The study equals that of a run in one process, and no trial ran in the caller's."""
    busy = flows("flow_of_local").busy
    apart = searched(busy, monkeypatch, "2", seconds=0.5)
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


def test_an_interrupted_search_is_kept(flows, monkeypatch, said):
    """The log names the file, which holds every generation that was told, and a search can go on with it."""
    flow = flows("flow_of_local")
    with pytest.raises(KeyboardInterrupt):
        searched(flow.interrupted, monkeypatch, "1")
    [path] = [text.partition("as it stands: ")[2] for text in said]
    study = load_study(path)
    assert [t.state.name for t in study.trials] == [*["COMPLETE"] * 3, *["RUNNING"] * 3]
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
    """In the last batch too. What cannot be saved does not take the place of the error, nor of what was saved."""
    monkeypatch.setattr(driver, "KEEP_EVERY", 0)
    monkeypatch.setattr(driver, "KEEP_SHARE", float("inf"))
    start = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    optimizer = Optimizer(flows("flow_of_local").pruned, 3, n_trials, study=start, callbacks=[callback])
    with pytest.raises(error):
        optimizer(x=suggest.float(0, 1))
    study = load_study(said[-1].partition("as it stands: ")[2])
    assert len([t for t in study.trials if t.state.name == "COMPLETE"]) == (6 if callback is give_up else 3)


def test_pruners_decide_the_same_in_workers_and_in_one_process(flows, monkeypatch):
    """A pruner sees the study as it was asked, and not what others of its batch report meanwhile."""
    studies = []
    for workers in ("1", "2"):
        monkeypatch.setenv(local.WORKERS, workers)
        start = optuna.create_study(
            sampler=optuna.samplers.RandomSampler(seed=4), pruner=optuna.pruners.MedianPruner(n_startup_trials=2)
        )
        studies.append(Optimizer(flows("flow_of_local").pruned, 4, 16, study=start)(x=suggest.float(0, 1)))
    found = [[(t.params, t.state, t.intermediate_values) for t in study.trials] for study in studies]
    assert found[0] == found[1]
    assert "PRUNED" in {t.state.name for t in studies[0].trials}


STOPPED = """
from flow_of_local import busy
from flyteoptuna import Optimizer, suggest

if __name__ == "__main__":
    Optimizer(busy, 2, 1000)(x=suggest.float(0, 1), seconds=0.1)
"""


@pytest.mark.parametrize("workers", ["1", "2"])
def test_ctrl_c_ends_a_search(tmp_path, workers):
    """Whoever runs the trials; the study is kept."""
    (tmp_path / "stopped.py").write_text(STOPPED)
    environment = {**os.environ, local.WORKERS: workers, "PYTHONPATH": str(CODE)}
    with subprocess.Popen(
        [sys.executable, "stopped.py"], cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        next(line for line in process.stderr if "generation 3/" in line)
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=600)[1]
    assert process.returncode
    path = rest.partition("The study as it stands: ")[2].splitlines()[0]
    assert 6 <= len([t for t in load_study(path).trials if t.state.name == "COMPLETE"]) < 1000


GHOST = """
import os
import flytekit as fl

@fl.task
def here(x: float) -> float:
    return x + os.getpid()
"""


def test_what_no_other_process_can_load_runs_in_this_one(tmp_path, monkeypatch, said):
    """A module that only this process knows; the log says so."""
    (tmp_path / "of_another_name.py").write_text(GHOST)
    spec = importlib.util.spec_from_file_location("ghost", tmp_path / "of_another_name.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "ghost", module)
    spec.loader.exec_module(module)
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


SCRIPT = """
import flytekit as fl
from flyteoptuna import Optimizer, suggest

@fl.task
def objective(x: float) -> float:
    return VALUE

study = Optimizer(objective, 2, 4)(x=suggest.float(0, 1))
print("best", study.best_value)
"""


def test_a_script_without_a_guard_ends(tmp_path):
    """Its workers refuse to run the search again, and the trials run in the script's own process."""
    (tmp_path / "script.py").write_text(SCRIPT.replace("VALUE", "3.0"))
    environment = {**os.environ, local.WORKERS: "2"}
    made = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    assert "best 3.0" in made.stdout
    assert made.stderr.count("put that under `__name__ == '__main__'`") == 1


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


def test_a_local_run_caches_nothing(flows, monkeypatch):
    """Flytekit's local cache would keep whole batches, failures and all."""
    flow = flows("flow_of_faults")
    monkeypatch.setenv(local.WORKERS, "1")
    for _ in range(2):
        study = searched_points(flow.cached)
        assert {t.params["point"]: t.state.name for t in study.trials} == {2: "FAIL", 3: "COMPLETE"}
    monkeypatch.setattr(flow.cached, "_task_function", lambda point, unit: 7.0)
    trial_task.cache_clear()
    assert {t.state.name for t in searched_points(flow.cached).trials} == {"COMPLETE"}


def searched_points(objective):
    grid = optuna.create_study(sampler=optuna.samplers.GridSampler({"point": [2, 3]}, seed=0))
    return Optimizer(objective, 2, 2, study=grid)(point=suggest.integer(2, 3), unit=1.0)
