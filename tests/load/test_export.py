"""A study for other tools: all of it, or none."""

import json
import math
import subprocess
import sys
import threading
import urllib.request
from collections import Counter
from wsgiref.simple_server import make_server

import optuna
import optuna_dashboard
import pytest
from command_line import run
from mixed_study import mixed
from optuna.trial import TrialState


def written(target, name="mixed"):
    """The study in a database or a journal."""
    if "://" in str(target):
        return optuna.load_study(study_name=name, storage=str(target))
    from optuna.storages.journal import JournalFileBackend, JournalStorage

    return optuna.load_study(study_name=name, storage=JournalStorage(JournalFileBackend(str(target))))


def everything(study):
    """All that a study holds, but for ids."""
    system = study._storage.get_study_system_attrs(study._study_id)
    trials = [{k: v for k, v in vars(t).items() if k != "_trial_id"} for t in study.trials]
    return study.directions, study.user_attrs, system, trials


@pytest.mark.parametrize("directions", [["minimize"], ["maximize", "minimize", "maximize"]])
@pytest.mark.parametrize("kind", ["sqlite:///{}/study.db", "{}/study.log", "{}/study.journal"])
def test_everything_is_in_a_database_and_in_a_journal(saved, tmp_path, directions, kind):
    """Numbers, states, values, parameters, distributions, times, attributes, intermediate values."""
    study = mixed(directions)
    target = kind.format(tmp_path)
    assert run("export", saved(study), "--to", target) == f"14 trials of mixed written to {target}\n"
    assert everything(written(target)) == everything(study)
    assert {t.state for t in written(target).trials} == set(TrialState)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["one.study", target.rpartition("/")[2]])


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize("directions", [["minimize"], ["minimize", "maximize"]])
def test_everything_is_in_a_table(saved, tmp_path, directions, ending):
    """A row for each trial; lists and dictionaries are JSON, and so are parameters of several types in parquet."""
    import pandas as pd

    study = mixed(directions)
    target = tmp_path / f"trials.{ending}"
    run("export", saved(study), "--to", target)
    frame = pd.read_csv(target, float_precision="round_trip") if ending == "csv" else pd.read_parquet(target)
    assert list(frame["number"]) == list(range(14))
    assert list(frame["state"]) == [t.state.name for t in study.trials]
    for i, column in enumerate(["value"] if len(directions) == 1 else ["values_0", "values_1"]):
        expected = [t.values[i] if t.values else math.nan for t in study.trials]
        assert frame[column].tolist() == pytest.approx(expected, nan_ok=True, rel=0, abs=0)
    assert frame["params_x"][:12].tolist() == [t.params["x"] for t in study.trials[:12]]
    assert frame["intermediate_values_3"][1] == 1 / 3
    assert json.loads(frame["user_attrs_many"][0]) == [1, {"a": None}]
    assert json.loads(frame["system_attrs_mark"][3]) == {"generation": 1}
    assert pd.to_datetime(frame["datetime_start"])[0] == study.trials[0].datetime_start
    kinds = frame["params_kind"][:4].tolist()
    assert (kinds[0], kinds[2]) == (("tree", "3") if ending == "csv" else ('"tree"', "3"))


def test_what_exists_is_replaced_only_if_that_is_asked_for(saved, tmp_path):
    """A file, and a study of the name in a database; another name stands beside it."""
    path, table, base = saved(mixed()), tmp_path / "t.csv", f"sqlite:///{tmp_path}/study.db"
    table.write_text("mine")
    error = run("export", path, "--to", table, code=1)
    end = "or overwrite it: `overwrite=True`, `--overwrite`."
    assert error == f"Error: {table} exists: give another one, {end}\n" and table.read_text() == "mine"
    run("export", path, "--to", table, "--overwrite")
    assert table.read_text().startswith('"number",')
    run("export", path, "--to", base)
    error = run("export", path, "--to", base, code=1)
    assert error == f"Error: The database has a study 'mixed': give another name, {end}\n"
    run("export", path, "--to", base, "--name", "other")
    saved(mixed(n_trials=1))
    run("export", path, "--to", base, "--overwrite")
    assert (len(written(base).trials), len(written(base, "other").trials)) == (3, 14)


def test_an_export_that_fails_leaves_nothing(saved, tmp_path, monkeypatch):
    """Neither half a study in a database, nor a part of a file."""
    base, log = f"sqlite:///{tmp_path}/study.db", tmp_path / "study.log"
    path = saved(mixed())

    def fail(*args, **kwargs):
        raise OSError("disk full")

    for storage in ("optuna.storages.RDBStorage", "optuna.storages.journal.JournalStorage"):
        monkeypatch.setattr(f"{storage}.create_new_trial", fail)
    for target in (base, log):
        assert run("export", path, "--to", target, code=1).endswith("OSError: disk full\n")
    assert optuna.get_all_study_names(base) == []
    assert sorted(p.name for p in tmp_path.iterdir()) == ["one.study", "study.db"]


@pytest.fixture
def dashboard(saved, tmp_path):
    """The address of a dashboard over an exported study."""
    base = f"sqlite:///{tmp_path}/study.db"
    command = [sys.executable, "-m", "flyteoptuna.cli.main", "export", str(saved(mixed())), "--to", base]
    made = subprocess.run(command, check=True, capture_output=True, text=True)
    assert made.stdout == f"14 trials of mixed written to {base}\n" and made.stderr == ""
    # On a port that it is given by the system, which no other process can take meanwhile.
    with make_server("127.0.0.1", 0, optuna_dashboard.wsgi(base)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_the_dashboard_shows_an_exported_study(dashboard):
    """With all its trials, read through the dashboard's own interface."""

    def get(path):
        with urllib.request.urlopen(f"{dashboard}{path}") as answer:
            return json.load(answer)

    [summary] = get("/api/studies")["study_summaries"]
    assert summary["study_name"] == "mixed"
    found = get(f"/api/studies/{summary['study_id']}?after=0")
    assert [t["number"] for t in found["trials"]] == list(range(14))
    states = Counter(t["state"] for t in found["trials"])
    assert states == {"Complete": 6, "Pruned": 3, "Fail": 3, "Running": 1, "Waiting": 1}
    assert found["trials"][3]["values"] == [0.1 * 3 / 3]
