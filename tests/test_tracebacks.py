"""The traceback of a refusal shows the user's own frames and the message, in Python and in `pyflyte run`."""

import pickle
import re
import subprocess
import sys
import traceback
from pathlib import Path

import pytest
import refusals
from click.testing import CliRunner
from flytekit.clis.sdk_in_container import pyflyte
from refusals import CHOICE, OWN, REFUSALS

from flyteoptuna import optimizer, suggest
from flyteoptuna.errors import FlyteOptunaError, SpaceError
from flyteoptuna.values.tracebacks import FULL_TRACEBACKS

USER = Path(refusals.__file__).name


def files(error):
    """The files of the frames of an exception, below that of the test."""
    return [Path(frame.filename).name for frame in traceback.extract_tb(error.__traceback__)[1:]]


def caught(call, *args, kind=Exception):
    with pytest.raises(kind) as found:
        call(*args)
    return found.value


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(FULL_TRACEBACKS, raising=False)


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_shows_the_users_frames_alone(name):
    """Below them is one line of the library, which says how to see all."""
    _, kind, words = REFUSALS[name]
    error = caught(refusals.refuse, name, kind=kind)
    assert words in str(error)
    *own, last = files(error)
    assert {*own} == {USER} and last == "tracebacks.py"
    assert f"{FULL_TRACEBACKS}=1" in traceback.extract_tb(error.__traceback__)[-1].line
    assert "".join(traceback.format_exception(error)).count("Traceback (") == 1 + str(error).count("Traceback (")


@pytest.mark.parametrize("name", REFUSALS)
def test_pyflyte_run_shows_the_users_frames_alone(monkeypatch, name):
    """Those of the workflow's body too, each with its lines of context, and then the message."""
    words = REFUSALS[name][2]
    monkeypatch.setenv(CHOICE, name)
    result = CliRunner().invoke(pyflyte.main, ["run", refusals.__file__, "refused"])
    assert result.exit_code == 1
    shown = re.sub(r"[│\s]", "", result.output)
    assert {*re.findall(r"(\w+\.py):\d+in", shown)} == {USER}
    assert all(f"in{function}" in shown for function in ("refused", "refuse", "<lambda>"))
    assert "".join(words.split()) in shown


def test_the_frames_of_flytekit_are_no_users_frames():
    """Neither in a workflow nor in a task that is called in plain Python."""
    error = caught(refusals.refused_by_task, "input", kind=TypeError)
    assert {*files(error)} == {USER, "tracebacks.py", "workflow.py"}
    names = [frame.name for frame in traceback.extract_tb(error.__traceback__) if frame.filename.endswith(USER)]
    assert names == ["refused_by_task", "refused_in_task", "refuse", "<lambda>"]


@pytest.mark.parametrize("name", REFUSALS)
def test_all_frames_are_there_if_one_asks(monkeypatch, name):
    """The variable keeps the frame that raised, and the causes."""
    monkeypatch.setenv(FULL_TRACEBACKS, "1")
    error = caught(refusals.refuse, name, kind=REFUSALS[name][1])
    assert files(error)[-1] not in (USER, "tracebacks.py")


@pytest.mark.parametrize("name", OWN)
def test_an_error_of_the_user_keeps_all_frames(name):
    """It is none of the library's, whoever called the code that raised it."""
    error = caught(OWN[name], kind=ZeroDivisionError)
    frames = traceback.extract_tb(error.__traceback__)
    assert (Path(frames[-1].filename).name, frames[-1].name) == (USER, "divide")
    assert len({*files(error)}) > 2


def test_a_bug_of_the_library_keeps_all_frames(monkeypatch):
    """An exception that no `raise` of the library raised."""
    monkeypatch.setattr(optimizer, "is_local", None)
    error = caught(refusals.refuse, "input", kind=TypeError)
    assert files(error)[-1] == "optimizer.py"


def test_the_users_own_causes_stay():
    """The exception that a user handles when a refusal is raised, and the one that is raised from a refusal."""
    try:
        refusals.divide()
    except ZeroDivisionError as own:
        error = caught(suggest.float, 1, 0, kind=SpaceError)
        assert error.__context__ is own and not error.__suppress_context__

    def wrap():
        try:
            suggest.float(1, 0)
        except SpaceError as refusal:
            raise KeyError("mine") from refusal

    error = caught(wrap, kind=KeyError)
    assert type(error.__cause__) is SpaceError and "low <= high" in str(error.__cause__)


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_is_pickled_as_any_exception(name):
    """With its type and its message."""
    error = caught(refusals.refuse, name)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (type(error), str(error))


TEST = """
from flyteoptuna import suggest

def test_mine():
    suggest.float(1, 0)
"""


def test_pytest_shows_the_line_of_the_users_test(tmp_path):
    """And no frame of the library."""
    (tmp_path / "test_mine.py").write_text(TEST)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "test_mine.py"]
    output = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True).stdout
    assert ">       suggest.float(1, 0)" in output and "test_mine.py:5: SpaceError" in output
    assert "tracebacks.py" not in output


def test_python_prints_few_lines(tmp_path):
    """By the hook of flytekit, and by Python's own."""
    script = f"import sys; sys.path.insert(0, {str(Path(refusals.__file__).parent)!r}); import refusals\n"
    (tmp_path / "script.py").write_text(f"{script}refusals.refuse('input')\n")
    for hook in ("", "sys.excepthook = sys.__excepthook__\n"):
        (tmp_path / "script.py").write_text(f"{script}{hook}refusals.refuse('input')\n")
        command = [sys.executable, "script.py"]
        result = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
        assert result.returncode == 1 and "has no input `y`" in result.stderr
        assert "optimizer.py" not in result.stderr
        assert len(result.stderr.splitlines()) < 20


def test_every_error_of_the_family_is_a_refusal():
    """Also one that no `raise` statement of the library raised, such as one that a worker process sent."""
    error = FlyteOptunaError("sent")
    error.__cause__ = ValueError("without a frame of the user")
    from flyteoptuna.values.tracebacks import public

    @public
    def entry():
        raise error

    shown = caught(entry, kind=FlyteOptunaError)
    assert shown is error and shown.__cause__ is None
