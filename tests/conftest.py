"""What all tests share."""

import os
import threading

# Threads that spin while they wait for each other stop a machine that others use too. Read when numpy is loaded.
os.environ["OMP_NUM_THREADS"] = "1"

import optuna
import pytest
from containers import CODE
from hypothesis import HealthCheck, settings

from flyteoptuna.logs import logger
from flyteoptuna.storage.file_format import dump_study
from flyteoptuna.testing.pods.processes import end_pods_on_interrupt

optuna.logging.set_verbosity(optuna.logging.ERROR)
# How long an example takes says more of the machine than of the code.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")


end_pods_on_interrupt()


@pytest.fixture
def said(monkeypatch):
    """The warnings of the library."""
    texts = []
    monkeypatch.setattr(logger, "warning", lambda text, *args: texts.append(text % args))
    return texts


@pytest.fixture(scope="session", autouse=True)
def no_thread_left():
    """Python waits at its end for each thread that is no daemon, and a suite with one left would never end."""
    yield
    left = [t for t in threading.enumerate() if not t.daemon and t is not threading.main_thread()]
    for thread in left:
        # One that is about to end, as a timer that was cancelled, is none.
        thread.join(60)
    assert [thread for thread in left if thread.is_alive()] == []


@pytest.fixture
def flows(monkeypatch):
    """Import a module of flows as a pod does."""
    monkeypatch.syspath_prepend(str(CODE))
    return __import__


@pytest.fixture
def saved(tmp_path):
    """A function that saves a study, and returns the path."""

    def save(study):
        path = tmp_path / "one.study"
        path.write_bytes(dump_study(study))
        return path

    return save


@pytest.fixture(autouse=True)
def one_process(monkeypatch):
    """Run the trials of local searches in the test's own process, unless the test says otherwise."""
    monkeypatch.setenv("FLYTEOPTUNA_LOCAL_WORKERS", "1")
