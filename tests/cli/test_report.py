"""`flyteoptuna report`: a study as a page."""

import pytest
from command_line import run
from mixed_study import mixed

from flyteoptuna.page import pages


def test_a_report_is_written_once_and_again_where_that_is_said(saved, tmp_path):
    """From the file of a study, as a whole document."""
    path = tmp_path / "report.html"
    assert run("report", saved(mixed()), "--to", path) == f"The report of mixed is in {path}\n"
    assert path.read_text() == pages.report_document(mixed())
    assert "exists: give another one, or --overwrite it." in run("report", saved(mixed()), "--to", path, code=1)
    run("report", saved(mixed()), "--to", path, "--overwrite")


@pytest.mark.parametrize(
    ("target", "code", "message"),
    [
        ("study.zip", 2, "`--to` must end in .html, but got 'study.zip'."),
        ("/no/such/r.html", 1, "/no/such/r.html cannot be written: [Errno 2]"),
    ],
)
def test_a_report_that_cannot_be_written_says_so(saved, target, code, message):
    """In one line."""
    error = run("report", saved(mixed()), "--to", target, code=code)
    assert error.startswith(f"Error: {message}") and len(error.splitlines()) == 1


def test_what_is_no_study_is_refused(tmp_path):
    """As by the other commands."""
    assert "There is no file" in run("report", tmp_path / "none", "--to", tmp_path / "r.html", code=1)
    assert not list(tmp_path.iterdir())
