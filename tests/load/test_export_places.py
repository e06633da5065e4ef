"""Where a study is written: what is there stays until all of the new one is, and nothing half is left."""

import os
import sqlite3

import optuna
import pytest
from mixed_study import mixed
from optuna.trial import create_trial

import flyteoptuna
from flyteoptuna.errors import ExportError, TargetExistsError


def test_it_is_public_and_returns_the_target(tmp_path):
    """From Python as from the command line, for a study of optuna's own storage, and the log stays as it was."""
    level = optuna.logging.get_verbosity()
    target = tmp_path / "t.csv"
    assert flyteoptuna.export(mixed(), target) == str(target)
    assert flyteoptuna.export(mixed(), f"sqlite:///{tmp_path}/s.db", name="other") == f"sqlite:///{tmp_path}/s.db"
    assert len(optuna.load_study(study_name="other", storage=f"sqlite:///{tmp_path}/s.db").trials) == 14
    assert optuna.logging.get_verbosity() == level


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((1, "t.csv"), {}, TypeError, "`study` must be an optuna.Study, but got int"),
        ((None, 5), {}, TypeError, "`target` must be a path or the URL of a database, but got int"),
        ((None, "t.csv"), {"name": 5}, TypeError, "`name` must be a string or None, but got int"),
        ((None, "t.csv"), {"overwrite": "no"}, TypeError, "`overwrite` must be True or False, but got str"),
        ((None, "t.xlsx"), {}, ValueError, "or to a file that ends in .log, .journal, .csv, .parquet, but got .t.xlsx"),
        ((None, "{}/folder.csv"), {"overwrite": True}, ExportError, "folder.csv is a folder: name a file in it"),
        ((None, "{}/pipe.csv"), {"overwrite": True}, ExportError, "is no file that could be replaced"),
        ((None, "{}/none/t.csv"), {}, ExportError, "There is no folder"),
        ((None, "sqlite:///{}/folder.csv"), {}, ExportError, "folder.csv is a folder"),
        ((None, "sqlite:///{}/text.db"), {}, ExportError, "cannot be written there: DatabaseError"),
        ((None, "sqlite:///:memory:"), {}, ExportError, "A database in memory"),
        ((None, "{}/there.csv"), {}, TargetExistsError, "exists: give another one"),
        ((None, "{}/there.csv"), {}, FileExistsError, "exists: give another one"),
    ],
)
def test_what_cannot_be_written_says_why(arguments, options, error, message, tmp_path):
    """And leaves everything as it was."""
    (tmp_path / "folder.csv").mkdir()
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "text.db").write_text("no database " * 1000)
    (tmp_path / "there.csv").write_text("mine")
    before = sorted(p.name for p in tmp_path.iterdir())
    study, target = arguments
    target = target.format(tmp_path) if isinstance(target, str) else target
    with pytest.raises(error, match=message):
        flyteoptuna.export(mixed() if study is None else study, target, **options)
    assert sorted(p.name for p in tmp_path.iterdir()) == before
    assert (tmp_path / "there.csv").read_text() == "mine"


@pytest.mark.parametrize("there", [False, True])
def test_a_database_keeps_what_it_had_when_writing_fails(there, tmp_path, monkeypatch):
    """The study of that name goes only when the new one is complete, and a new file goes if it is not."""
    base = f"sqlite:///{tmp_path}/s.db"
    if there:
        flyteoptuna.export(mixed(), base)
    broken = mixed()
    broken.add_trial(create_trial(value=1.0, user_attrs={"bad": {1, 2}}))
    with pytest.raises(ExportError, match="cannot be written there: TypeError"):
        flyteoptuna.export(broken, base, overwrite=True)
    assert (tmp_path / "s.db").exists() == there
    if there:
        assert [s.study_name for s in optuna.get_all_study_summaries(base)] == ["mixed"]
        assert len(optuna.load_study(study_name="mixed", storage=base).trials) == 14
        flyteoptuna.export(mixed(n_trials=1), base, overwrite=True)
        assert len(optuna.load_study(study_name="mixed", storage=base).trials) == 3


def test_a_database_may_have_other_tables(tmp_path):
    """They stay."""
    connection = sqlite3.connect(tmp_path / "s.db")
    connection.executescript("create table mine (a); insert into mine values (1)")
    flyteoptuna.export(mixed(), f"sqlite:///{tmp_path}/s.db")
    assert connection.execute("select * from mine").fetchall() == [(1,)]
    connection.close()


def test_of_a_link_what_it_leads_to_is_replaced(tmp_path):
    """With the rights that it had."""
    (tmp_path / "real.csv").write_text("mine")
    (tmp_path / "real.csv").chmod(0o600)
    (tmp_path / "link.csv").symlink_to(tmp_path / "real.csv")
    flyteoptuna.export(mixed(), tmp_path / "link.csv", overwrite=True)
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "real.csv").read_text().startswith('"number"')
    assert (tmp_path / "real.csv").stat().st_mode & 0o777 == 0o600


def test_a_name_as_long_as_a_file_system_takes(tmp_path):
    """What is written aside has a short one."""
    target = tmp_path / ("x" * 251 + ".csv")
    flyteoptuna.export(mixed(), target)
    assert target.exists()
