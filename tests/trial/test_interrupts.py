"""Ctrl-C and SIGTERM in a local search: what they raise, and what becomes of the handlers."""

import signal
import threading

import flytekit as fl
import pytest
from local_searches import searched

from flyteoptuna import current_trial, load_study


@fl.task
def terminated(x: float) -> float:
    if current_trial().number == 4:
        signal.raise_signal(signal.SIGTERM)
    return x


@fl.task
def stubborn(x: float) -> float:
    try:
        if current_trial().number == 2:
            signal.raise_signal(signal.SIGTERM)
    except BaseException:
        return -1.0
    return x


@pytest.fixture
def handler():
    """The handler of SIGTERM before the test."""
    before = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield signal.SIG_DFL
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(("objective", "last"), [(terminated, 3), (stubborn, 2)])
def test_sigterm_ends_a_search_as_ctrl_c_does(monkeypatch, said, handler, objective, last):
    """With the exit code of the signal, the study, and the handler as before; an objective cannot hold it up."""
    for _ in range(2):
        with pytest.raises(SystemExit) as ended:
            searched(objective, monkeypatch, "1")
        assert ended.value.code == 143
        assert signal.getsignal(signal.SIGTERM) == handler
    study = load_study(said[-1].partition("as it stands: ")[2])
    assert [t.number for t in study.trials if t.state.name == "COMPLETE"] == [*range(last + 1)]


def test_a_second_sigterm_does_not_disturb_the_saving(monkeypatch, said, handler):
    """`timeout`, for one, sends it to the process and to its group."""
    from flyteoptuna.local.study_file import StudyFile

    save = StudyFile.save

    def saved(self, *args, **kwargs):
        if signal.getsignal(signal.SIGTERM) != handler and [t for t in self.study.trials if t.number == 3 and t.value]:
            signal.raise_signal(signal.SIGTERM)
        save(self, *args, **kwargs)

    monkeypatch.setattr(StudyFile, "save", saved)
    with pytest.raises(SystemExit):
        searched(terminated, monkeypatch, "1")
    study = load_study(said[-1].partition("as it stands: ")[2])
    assert [t.number for t in study.trials if t.state.name == "COMPLETE"] == [0, 1, 2, 3]


def test_a_users_handler_stays(monkeypatch, handler):
    """It is called, and the search goes on."""
    calls = []
    signal.signal(signal.SIGTERM, lambda *args: calls.append(args[0]))
    study = searched(terminated, monkeypatch, "1")
    assert calls == [signal.SIGTERM] and len(study.trials) == 6


@fl.task
def looking(x: float) -> float:
    current_trial().set_user_attr("default", signal.getsignal(signal.SIGTERM) == signal.SIG_DFL)
    return x


def test_a_search_in_another_thread_sets_no_handler(monkeypatch, handler):
    """Python allows it in the main thread alone."""
    studies = []
    thread = threading.Thread(target=lambda: studies.append(searched(looking, monkeypatch, "1")))
    thread.start()
    thread.join()
    studies.append(searched(looking, monkeypatch, "1"))
    assert [{t.user_attrs["default"] for t in study.trials} for study in studies] == [{True}, {False}]
