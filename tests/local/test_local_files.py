"""The file of a local run's study: where it stays, and what happens where it cannot be written."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import flytekit as fl
import optuna
import pytest
from containers import CODE
from local_searches import searched

from flyteoptuna import Optimizer, load_study, suggest
from flyteoptuna.local import study_file
from flyteoptuna.local.worker_pool import WORKERS
from flyteoptuna.logs import logger


@pytest.fixture
def lines(monkeypatch):
    """What the library says."""
    texts = []
    monkeypatch.setattr(logger, "info", lambda text, *args: texts.append(text % args))
    return texts


@pytest.fixture
def often(monkeypatch):
    """The study is saved after each batch."""
    monkeypatch.setattr(study_file, "SAVE_INTERVAL", 0)
    monkeypatch.setattr(study_file, "MAX_SAVE_SHARE", float("inf"))


def fails(monkeypatch, when):
    """Let the writing of a study fail, as on a full disk, at the times that ``when`` tells from the count."""
    write, calls = Path.write_bytes, []

    def written(path, data):
        calls.append(path)
        if when(len(calls)):
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", written)
    return calls


def test_the_last_line_names_the_file(flows, monkeypatch, lines):
    """It is a study like the one that is returned, which knows it too, and no other file is left beside it."""
    study = searched(flows("flow_of_local").pruned, monkeypatch, "1")
    path = Path(lines[-1].rpartition("flyteoptuna show ")[2])
    assert study.file == str(path)
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert [(t.params, t.values) for t in load_study(path).trials] == [(t.params, t.values) for t in study.trials]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_batch_leaves_no_file(flows, monkeypatch, workers, often):
    """With a pruner too, whatever the number of generations: one file is written anew."""
    calls = fails(monkeypatch, lambda count: False)
    monkeypatch.setenv(WORKERS, workers)
    start = optuna.create_study(pruner=optuna.pruners.MedianPruner())
    study = Optimizer(flows("flow_of_local").pruned, 2, 12, study=start)(x=suggest.float(0, 1))
    assert len(calls) > 12 and {path.name for path in calls} == {"search.study", "asked.study"}
    assert [file.name for file in Path(study.file).parent.iterdir()] == ["search.study"]


@pytest.mark.parametrize("pruner", [None, optuna.pruners.MedianPruner(n_startup_trials=1)])
def test_a_search_goes_on_without_a_disk(flows, monkeypatch, lines, said, often, pruner):
    """One warning, all results, and an end that says what could not be saved; a pruner decides as with a disk."""
    results = []
    for full in (False, True):
        with monkeypatch.context() as patch:
            fails(patch, lambda count, full=full: full)
            sampler = optuna.samplers.RandomSampler(seed=3)
            start = optuna.create_study(sampler=sampler, pruner=pruner)
            study = Optimizer(flows("flow_of_local").pruned, 2, 8, study=start)(x=suggest.float(0, 1))
            results.append([(t.params, t.values, t.state, t.intermediate_values) for t in study.trials])
    assert results[0] == results[1]
    assert study.file is None
    assert len(said) == 1 and "its study cannot be saved" in said[0] and "No space left" in said[0]
    assert "could not be saved, and is in memory only" in lines[-1] and "No space left" in lines[-1]


def test_a_disk_with_room_again_is_used(flows, monkeypatch, lines, said, often):
    """The end names the file, as ever."""
    fails(monkeypatch, lambda count: count < 3)
    study = searched(flows("flow_of_local").pruned, monkeypatch, "1")
    assert len(said) == 1
    assert len(load_study(study.file).trials) == 6
    assert study.file in lines[-1]


def test_an_interrupted_search_without_a_disk(flows, monkeypatch, said, often):
    """The end of it names what could not be saved as well."""
    fails(monkeypatch, lambda count: True)
    with pytest.raises(KeyboardInterrupt):
        searched(flows("flow_of_local").interrupted, monkeypatch, "1")
    assert "has not finished" in said[-1] and "could not be saved" in said[-1]


def test_a_workflow_without_a_disk(flows, monkeypatch, often):
    """The promise holds the study itself, and what is made of it is right."""
    flow = flows("flow_of_local")
    fails(monkeypatch, lambda count: True)

    @fl.workflow
    def main() -> tuple[float, int]:
        study = Optimizer(flow.pruned, 2, 4)(x=suggest.float(0, 1))
        return study.best_value, study.n_complete

    value, complete = main()
    assert 0 <= value <= 1 and complete == 4


GONE = """
import os, shutil
from flow_of_local import busy
from flyteoptuna import Optimizer, suggest

if __name__ == "__main__":
    os.mkdir("gone")
    os.chdir("gone")
    os.rmdir("../gone")
    study = Optimizer(busy, 2, 4)(x=suggest.float(0, 1), seconds=0.01)
    print("ended", len(study.trials), {t.state.name for t in study.trials}, os.path.exists(study.file))
"""


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_working_folder_that_is_gone(tmp_path, workers):
    """The search does not need it."""
    (tmp_path / "script.py").write_text(GONE)
    environment = {**os.environ, WORKERS: workers, "PYTHONPATH": os.pathsep.join([str(CODE), *filter(None, sys.path)])}
    made = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert "ended 4 {'COMPLETE'} True" in made.stdout, made.stderr


def test_a_folder_of_studies_that_is_cleared_away(flows, monkeypatch, often):
    """It is made again."""
    import shutil

    def clear(study, trial):
        for file in cleared:
            shutil.rmtree(file.parent, ignore_errors=True)

    cleared = []
    place = study_file._new_path
    monkeypatch.setattr(study_file, "_new_path", lambda name: cleared.append(place(name)) or cleared[-1])
    study = Optimizer(flows("flow_of_local").pruned, 2, 6, callbacks=[clear])(x=suggest.float(0, 1))
    assert len(load_study(study.file).trials) == 6
