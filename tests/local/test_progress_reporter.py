"""What a local run shows: a bar in a terminal, and lines where there is none."""

import os
import pty
import re
import subprocess
import sys

import pytest
from containers import CODE

CODES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
SHOWN, HIDDEN = "\x1b[?25h", "\x1b[?25l"
SCRIPT = """
import logging
logging.getLogger("flyteoptuna").setLevel({level})
from flow_of_local import failing, interrupted, pruned
from flyteoptuna import Optimizer, suggest

Optimizer({task}, 2, {n_trials}, reuse_pods={reuse})(x=suggest.float(0, 1))
"""


@pytest.fixture(params=[False, True], ids=["batches", "reused"])
def reuse(request):
    """Both kinds of searches."""
    return request.param


def started(task, reuse, stderr, level=0):
    code = SCRIPT.format(task=task, n_trials=20 if task == "failing" else 8, level=level, reuse=reuse)
    environment = {**os.environ, "PYTHONPATH": str(CODE), "TERM": "xterm", "COLUMNS": "80"}
    return subprocess.Popen([sys.executable, "-c", code], env=environment, stderr=stderr)


def in_terminal(task, reuse):
    """What a terminal gets of a search."""
    here, there = pty.openpty()
    with started(task, reuse, there) as process, os.fdopen(here, "rb", buffering=0) as terminal:
        os.close(there)
        parts = []
        try:
            while part := terminal.read(4096):
                parts.append(part)
        except OSError:
            # Linux says so when the other side is closed.
            pass
        process.wait(600)
    return b"".join(parts).decode()


def test_a_terminal_gets_a_bar(reuse):
    """It goes to the last trial between a first line and a last one, and leaves the cursor as it was."""
    text = in_terminal("pruned", reuse)
    bars = [line for line in re.split("[\r\n]+", CODES.sub("", text)) if "━" in line]
    assert re.search(r" 8/8 +best \S+ \(trial \d\) \d:\d\d:\d\d", bars[-1])
    assert {len(line) for line in bars} <= {*range(80)}
    lines = [line.partition("] ")[2] for line in text.splitlines() if "[I " in line]
    first, follow, end, best, study = lines
    assert first == "A search of 8 trials begins, one after another (instead of 2: FLYTEOPTUNA_LOCAL_WORKERS is 1)."
    assert end == "The search has ended: all of its 8 trials have run."
    assert best.startswith("The best is trial ")
    assert follow.startswith("Its study as it runs: flyteoptuna watch /")
    shown = study.removeprefix("Its study: flyteoptuna show ").rstrip()
    assert (follow.split()[-1] == shown) != reuse and shown.startswith("/")
    assert text.rindex(HIDDEN) < text.rindex(SHOWN)


def test_an_interrupted_search_gives_the_terminal_back(reuse):
    """The bar ends before the message that says where the study is."""
    text = in_terminal("interrupted", reuse)
    assert re.search(r" 5/8 +best ", CODES.sub("", text))
    assert text.rindex(HIDDEN) < text.rindex(SHOWN) < text.index("The study as it stands: ")


def test_a_failed_search_gives_the_terminal_back(reuse):
    """As an interrupted one does."""
    text = in_terminal("failing", reuse)
    assert text.rindex(HIDDEN) < text.rindex(SHOWN) < text.rindex("The study as it stands: ")


def test_without_a_terminal_there_are_lines(reuse):
    """One a trial between the first and the last, without control characters."""
    with started("pruned", reuse, subprocess.PIPE) as process:
        text = process.communicate(timeout=600)[1].decode()
    lines = [line.split("] ", 1)[1] for line in text.splitlines()]
    assert [line.partition(" ")[0] for line in lines[:2]] == ["A", "Its"]
    assert sorted(line.split(":")[0] for line in lines[2:10]) == [f"Trial {number}" for number in range(8)]
    assert [line.split(" ")[0] for line in lines[10:]] == ["The", "The", "Its"]
    assert "\x1b" not in text


def test_a_level_that_was_set_before_the_import_stays(reuse):
    """Nothing is said of a search that goes well."""
    with started("pruned", reuse, subprocess.PIPE, level="logging.WARNING") as process:
        assert process.communicate(timeout=600)[1] == b""
