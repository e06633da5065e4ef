"""Standard streams of any kind are asked, written to and replaced without an exception."""

import io
import logging
import os
import subprocess
import sys

import pytest
from odd_streams import STREAMS, replace_streams

from flyteoptuna.logs import logger
from flyteoptuna.streams import flush_streams, is_terminal, tolerant_stream, usable_streams


@pytest.mark.parametrize("name", STREAMS)
def test_odd_streams_harm_nobody(monkeypatch, name):
    """What is written or logged is dropped, and both streams are as they were afterwards."""
    handler = logging.StreamHandler()
    replace_streams(monkeypatch, name)
    before = sys.stdout, sys.stderr
    flush_streams()
    assert not is_terminal(sys.stdout) and not is_terminal(sys.stderr)
    with usable_streams():
        sys.stdout.writelines(["a", "b"])
        sys.stderr.flush()
        handler.setStream(sys.stderr)
        handler.handle(logging.makeLogRecord({"msg": "said"}))
        assert (sys.stdout.encoding, sys.stdout.closed, is_terminal(sys.stderr)) == ("utf-8", False, False)
    assert (sys.stdout, sys.stderr) == before


@pytest.mark.parametrize("name", STREAMS)
def test_the_librarys_log_raises_nowhere(monkeypatch, name):
    """A line of it is worth no search, with a wrong format too."""
    replace_streams(monkeypatch, name)
    # Those of pytest raise.
    [handler] = [each for each in logger.handlers if type(each).__module__ == "flyteoptuna.logs"]
    for args in ((), ("x",)):
        handler.handle(logging.makeLogRecord({"msg": "said %d", "args": args}))


def test_streams_in_order_stay_as_they_are(capsys):
    """And what replaces a stream meanwhile is not undone."""
    before = sys.stdout, sys.stderr
    with usable_streams():
        assert (sys.stdout, sys.stderr) == before
    sys.stdout = None
    with usable_streams():
        sys.stdout = other = io.StringIO()
    assert sys.stdout is other
    sys.stdout = before[0]


def test_a_stream_that_takes_something_gets_it():
    """One that has `write` alone, too; what else it has is passed on."""
    taken = []
    stream = tolerant_stream(type("Taking", (), {"write": lambda _, text: taken.append(text), "name": "mine"})())
    stream.writelines(["a", "b"])
    assert (taken, stream.name, stream.isatty()) == (["a", "b"], "mine", False)
    with pytest.raises(AttributeError):
        stream.fileno()
    with pytest.raises(TypeError, match="takes str"):
        stream.write(b"")


DESCRIPTORS = """
import os, sys
from flyteoptuna.streams import usable_streams
with usable_streams():
    opened = os.open("file", os.O_CREAT | os.O_RDWR)
    os.write(opened, f"{opened > 2} {sys.stdout.isatty()} {[os.get_inheritable(each) for each in range(3)]}".encode())
"""


def test_no_file_takes_the_place_of_a_standard_stream(tmp_path):
    """Where all three are closed when Python starts; a child process would write into it."""
    command = f"exec {sys.executable} -c '{DESCRIPTORS}' <&- >&- 2>&-"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run(["sh", "-c", command], cwd=tmp_path, env=environment, check=True)
    assert (tmp_path / "file").read_text() == "True False [True, True, True]"
