"""A report as a file."""

import os

import pytest
from mixed_study import mixed
from pages import make

from flyteoptuna.page import pages
from flyteoptuna.page.html_report import report


def test_a_report_is_one_file(tmp_path):
    """Which replaces the one before, and nothing else is left."""
    path = tmp_path / "report.html"
    report(make([1.0]), path)
    report(mixed(), str(path))
    assert path.read_text("ascii") == pages.report_document(mixed())
    assert list(tmp_path.iterdir()) == [path]


def test_a_report_that_cannot_be_written_changes_nothing(tmp_path, monkeypatch):
    """The file before is as it was."""
    path = tmp_path / "report.html"
    path.write_text("before")
    monkeypatch.setattr(pages, "report_document", lambda study: "\ud800")
    with pytest.raises(UnicodeEncodeError):
        report(mixed(), path)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(FileNotFoundError):
        report(mixed(), tmp_path / "no" / "report.html")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((None, "a.html"), TypeError, "`study` must be an optuna.Study, but got None"),
        (("one.study", "a.html"), TypeError, r"`study` must be an optuna.Study, but got 'one.study' \(str\)"),
        ((mixed(), None), TypeError, "`path` must be the path of a file, but got None"),
        ((mixed(), 5), TypeError, r"`path` must be the path of a file, but got 5 \(int\)"),
        ((mixed(), b"a.html"), TypeError, r"`path` must be the path of a file, but got b'a.html' \(bytes\)"),
        ((mixed(), ""), ValueError, "`path` must be the path of a file, but got ''"),
        ((mixed(), " "), ValueError, "`path` must be the path of a file, but got ' '"),
        ((mixed(), "."), IsADirectoryError, "is a folder: name a file in it"),
        ((mixed(), "pipe"), OSError, "pipe is no file that could be replaced"),
        ((mixed(), "no/a.html"), FileNotFoundError, "There is no folder"),
    ],
)
def test_wrong_arguments_are_refused_before_the_work(arguments, error, message, tmp_path, monkeypatch):
    """By their names, with the value."""
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    monkeypatch.setattr(pages, "report_document", lambda study: pytest.fail("It must not begin."))
    with pytest.raises(error, match=message):
        report(*arguments)
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]
