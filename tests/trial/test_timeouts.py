"""A process whose trial exceeds its timeout ends, whatever the trial and the steps to the end do."""

import sys
import threading
from datetime import timedelta

import pytest
from odd_streams import BLOCKING, STREAMS, replace_streams

from flyteoptuna.trial import timeouts
from flyteoptuna.trial.timeouts import end_process, trial_timeout

SOON, LONG = timedelta(microseconds=1), timedelta.max


def block(*_):
    threading.Event().wait()


def fail(*_):
    raise RuntimeError


@pytest.fixture
def exited(monkeypatch):
    """Set when the process would have ended; no child process is killed."""
    event = threading.Event()
    monkeypatch.setattr(timeouts.os, "_exit", lambda code: event.set())
    monkeypatch.setattr(timeouts, "kill_child_processes", lambda: None)
    for limit in ("STEP_SECONDS", "REPORT_SECONDS"):
        monkeypatch.setattr(timeouts, limit, 0.01)
    return event


def hang(exited, report=lambda seconds: None, end=end_process):
    """Run a trial that waits for the end of its process, in a thread that goes no further."""
    passed = threading.Event()

    def trial():
        with trial_timeout(SOON, report, end):
            exited.wait()
        passed.set()

    threading.Thread(target=trial, daemon=True).start()
    assert exited.wait(600)
    return passed


@pytest.mark.parametrize("name", [*STREAMS, *BLOCKING])
def test_no_stream_holds_up_the_end(exited, monkeypatch, name):
    """One that cannot be flushed, or never ends to be."""
    replace_streams(monkeypatch, name)
    assert not hang(exited).is_set()


@pytest.mark.parametrize("step", [block, fail, sys.exit], ids=["blocks", "raises", "exits"])
@pytest.mark.parametrize("which", ["report", "children", "replace"])
def test_no_step_holds_up_the_end(exited, monkeypatch, step, which):
    """The report of the trial, its child processes, and the command that would replace the process."""
    if which == "report":
        hang(exited, report=step)
    elif which == "children":
        monkeypatch.setattr(timeouts, "kill_child_processes", step)
        hang(exited)
    elif step is not block:
        hang(exited, end=lambda: end_process(step))


def test_the_end_needs_no_further_thread(exited, monkeypatch):
    """The timer's own does where the system has none left."""
    start, timer = threading.Thread.start, threading.Timer
    reported = []

    def only_timers(self):
        return start(self) if isinstance(self, timer) else fail()

    def trial():
        monkeypatch.setattr(threading.Thread, "start", only_timers)
        with trial_timeout(SOON, reported.append, end_process):
            exited.wait()

    threading.Thread(target=trial, daemon=True).start()
    assert exited.wait(600)
    assert reported == [SOON.total_seconds()]


@pytest.mark.parametrize("timeout", [None, timedelta(0), LONG])
def test_a_trial_in_time_ends_nothing(exited, timeout):
    """Nor one without a timeout, or with a longer one than a thread can wait for."""
    with trial_timeout(timeout, fail, fail):
        pass
    assert not exited.is_set()
