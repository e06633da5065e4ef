"""A study as an input of `pyflyte run`."""

import os
import subprocess
import sys

import optuna
import pytest
from containers import CODE

WIDE = {**os.environ, "COLUMNS": "250"}
PYFLYTE = "import sys; from flytekit.clis.sdk_in_container.pyflyte import main; sys.exit(main())"


def pyflyte(*args):
    """What `pyflyte run` prints, with its spaces and frames as one space, and whether it succeeded."""
    command = [sys.executable, "-c", PYFLYTE, "run", str(CODE / "flow_of_commands.py"), *map(str, args)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600, env=WIDE)
    return " ".join((ran.stdout + ran.stderr).replace("│", " ").split()), ran.returncode == 0


@pytest.fixture
def source(saved):
    study = optuna.create_study()
    study.add_trial(optuna.trial.create_trial(params={}, value=1.0))
    return saved(study)


def test_a_study_is_read_from_a_path(source):
    """By a workflow without a default, by one with a default, and by a task."""
    for name, count in (("train", 3), ("started", 3), ("count", 1)):
        said, succeeded = pyflyte(name, "--study", source)
        assert succeeded, said
        assert f"Running Execution on local. {count}" in said


def test_a_default_is_a_study():
    """It is taken where no source is given, and the help says that there is one."""
    said, succeeded = pyflyte("started")
    assert succeeded, said
    assert "Running Execution on local. 2" in said
    said, succeeded = pyflyte("started", "--help")
    assert succeeded, said
    assert "a study of 1 trial" in said


def test_the_help_says_what_a_source_is():
    """As `load_study` takes it."""
    said, succeeded = pyflyte("train", "--help")
    assert succeeded, said
    assert "STUDY: A PATH, A URL OR" in said.upper()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nowhere.study", "Invalid value for '--study': There is no file nowhere.study"),
        ("flyte://a/b", "Invalid value for '--study': `flyte://a/b` is no execution"),
        (__file__, "Invalid value for '--study': Not a study file"),
        ("{}", "Invalid value for '--study': There is no file {}"),
    ],
)
def test_what_is_no_study_is_refused(text, message):
    """In the words of `load_study`."""
    said, succeeded = pyflyte("train", "--study", text)
    assert not succeeded
    assert message in said
