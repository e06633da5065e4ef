"""`flyteoptuna export`: where a study can be written."""

import pytest
from command_line import run
from mixed_study import mixed

from flyteoptuna.load import export


@pytest.mark.parametrize(
    ("target", "code", "message"),
    [
        ("study.db", 2, "A study is written to a database, as sqlite:///study.db, or to a file that ends in .log, .j"),
        ("s3://b/t.csv", 2, "A study is written to a file here or a database (sqlite, mysql, postgresql), but got s3"),
        ("/no/such/t.csv", 1, "There is no folder /no/such"),
        ("/no/such/t.log", 1, "There is no folder /no/such"),
        ("sqlite:////no/such/t.db", 1, "There is no folder /no/such"),
        ("sqlite://", 1, "A database in memory ends with this process"),
        ("mysql+nodriver://u:secret@h/d", 1, "The study cannot be written there: "),
    ],
)
def test_targets_that_cannot_be_written(saved, target, code, message):
    """One line, without the password."""
    error = run("export", saved(mixed()), "--to", target, code=code)
    assert error.startswith(f"Error: {message}") and len(error.splitlines()) == 1 and "secret" not in error


def test_tables_need_pandas(saved, tmp_path, monkeypatch):
    """Which the message says, instead of a traceback."""
    monkeypatch.setattr(export.importlib.util, "find_spec", lambda name: None)
    assert run("export", saved(mixed()), "--to", tmp_path / "t.csv", code=1) == (
        "Error: A table needs pandas: pip install pandas\n"
    )
