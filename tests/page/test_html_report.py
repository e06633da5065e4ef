"""A report as a file."""

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
