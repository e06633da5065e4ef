"""A command whose standard output cannot be written fails, and says why in a line."""

import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from running import study_at

from flyteoptuna.cli.main import main
from flyteoptuna.storage import local_studies
from flyteoptuna.storage.local_studies import StudyLink

PLANNED = f"{Path(__file__).parents[2] / 'examples' / 'quickstart.py'}:train"
# The arguments of each command; STUDY stands for a study.
COMMANDS = {
    "plan": [PLANNED],
    "list": [],
    "show": ["STUDY"],
    "watch": ["STUDY"],
    "dashboard": ["STUDY", "--port", "0"],
    "report": ["STUDY", "--to", "page.html"],
    "export": ["STUDY", "--to", "study.log"],
}


class Refusing(io.StringIO):
    """A stream of a system that takes no text."""

    def __init__(self, number):
        super().__init__()
        self.number = number

    def flush(self):
        if self.getvalue():
            raise OSError(self.number, os.strerror(self.number))


class RefusingAtOnce(Refusing):
    def write(self, _):
        raise OSError(self.number, os.strerror(self.number))


@pytest.fixture
def commands(monkeypatch, tmp_path, saved):
    """The arguments of each command, over a study that `list` finds."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(local_studies, "_folder", lambda: tmp_path / "links")
    path = saved(study_at("cccc"))
    StudyLink(path)
    return {name: [name, *(str(path) if each == "STUDY" else each for each in args)] for name, args in COMMANDS.items()}


def test_each_command_is_tried():
    """No command is forgotten here."""
    assert COMMANDS.keys() == main.commands.keys()


@pytest.mark.parametrize("stream", [Refusing, RefusingAtOnce])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
@pytest.mark.parametrize("name", [*COMMANDS, "--help", "--version"])
def test_output_that_cannot_be_written_fails_the_command(monkeypatch, commands, capsys, name, number, stream):
    """With exit code 1, at once, and nothing but one line on standard error."""
    monkeypatch.setattr(sys, "stdout", stream(number))
    with pytest.raises(SystemExit) as end:
        main(commands.get(name, [name]))
    assert end.value.code == 1
    assert capsys.readouterr().err == f"Error: The output cannot be written: {os.strerror(number)}\n"


@pytest.mark.parametrize("name", ["show", "list"])
def test_a_missing_output_fails_no_command(monkeypatch, commands, name):
    """A daemon has none."""
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(SystemExit) as end:
        main(commands[name])
    assert end.value.code == 0


def test_a_reader_that_has_gone_is_no_error_to_speak_of(commands):
    """As behind `flyteoptuna show ... | head -1`: the exit code is 1, without a word."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "flyteoptuna", *commands["show"]]
    result = subprocess.run(command, check=False, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert (result.returncode, result.stderr) == (1, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
def test_a_full_device_fails_a_command(commands):
    """The exit code is still 1 when Python flushes the stream once more at its end."""
    command = [sys.executable, "-m", "flyteoptuna", *commands["show"]]
    with open("/dev/full", "w") as full:
        result = subprocess.run(command, check=False, stdout=full, stderr=subprocess.PIPE, text=True)
    assert result.returncode == 1
    assert result.stderr.splitlines() == ["Error: The output cannot be written: No space left on device"]
