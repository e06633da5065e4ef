"""`flyteoptuna watch`: a search while it runs."""

import codecs
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest
from admin import Admin, literal_of, remote_of
from command_line import run
from containers import CODE
from executions import FLYTE, execution_of, journal_of, length, with_entries
from mixed_study import mixed
from optuna.trial import create_trial
from running import study_at

from flyteoptuna.internals.optuna_internals import set_system_attribute
from flyteoptuna.storage.file_format import dump_study
from flyteoptuna.study import system_attrs
from flyteoptuna.trial import marks

SHOWN, HIDDEN = "\x1b[?25h", "\x1b[?25l"


def batches(*states):
    """What an execution shows at each look: a phase, and the states of its trials or None for no study yet."""
    for phase, trials in states:
        yield Admin({}, [] if trials is None else [("n0", "", {}, {"o0": literal_of(study_at(trials))})], phase)


@pytest.fixture
def watched(monkeypatch):
    """What is written of an execution that each pause takes a step further; the pauses."""

    def watch(admins, *args, code=0):
        steps, pauses = iter(admins), []
        now = [next(steps)]

        def sleep(seconds):
            pauses.append(seconds)
            step = next(steps)
            if isinstance(step, BaseException):
                raise step
            now[0] = step

        monkeypatch.setattr("flytekit.remote.FlyteRemote", lambda config: remote_of(now[0]))
        monkeypatch.setattr(time, "sleep", sleep)
        text = run("watch", FLYTE, *args, code=code)
        assert next(steps, None) is None
        return text.splitlines(), pauses

    return watch


def test_a_line_at_each_change_until_the_execution_has_ended(watched):
    """Of an execution that is queued at first; a look that finds nothing new writes nothing."""
    states = [("QUEUED", None), ("RUNNING", None), ("RUNNING", "rr"), ("RUNNING", "rr"), ("RUNNING", "cfrr")]
    lines, pauses = watched(batches(*states, ("RUNNING", "cfcc"), ("SUCCEEDED", "cfcc")), "--every", 3)
    assert lines == [
        "QUEUED: no study yet",
        "RUNNING: no study yet",
        "RUNNING: generation 0/2: 0/4 trials, 2 running, 0 failed, none complete",
        "RUNNING: generation 1/2: 2/4 trials, 2 running, 1 failed, best 9 (trial 0)",
        "RUNNING: generation 2/2: 4/4 trials, 0 running, 1 failed, best 6 (trial 3)",
        "SUCCEEDED: generation 2/2: 4/4 trials, 0 running, 1 failed, best 6 (trial 3)",
    ]
    assert pauses == [3] * 6


def test_an_execution_that_ends_early_ends_it(watched):
    """By a timeout, say, with fewer trials than were planned."""
    lines, _ = watched(batches(("RUNNING", "cr"), ("SUCCEEDED", "cc")))
    assert len(lines) == 2 and lines[-1].startswith("SUCCEEDED: generation 1/2: 2/4 trials, 0 running")


@pytest.mark.parametrize("phase", ["FAILED", "ABORTED", "TIMED_OUT"])
def test_an_execution_that_has_not_succeeded(watched, phase):
    """The last state, and an error."""
    lines, _ = watched(batches(("RUNNING", "cr"), ("RUNNING", "ffff"), (phase, "ffff")), code=1)
    assert lines == [f"Error: {FLYTE} has {phase.lower().replace('_', ' ')} after 4 of 4 trials."]


@pytest.mark.parametrize(
    ("phase", "error", "line"),
    [
        (
            "FAILED",
            "Trace:\n\n    Traceback\n\nMessage:\n\n    TypeError: no number\n",
            "failed after 2 of 4 trials: TypeError: no number",
        ),
        ("FAILED", "", "failed after 2 of 4 trials."),
        ("ABORTED", "", "aborted after 2 of 4 trials."),
        ("SUCCEEDED", "", ""),
        ("RUNNING", "", ""),
    ],
)
def test_a_failed_execution_is_said_to_have_failed(monkeypatch, tmp_path, phase, error, line):
    """By each command that looks at its study, with the first line of the error and the number of trials."""
    [admin] = batches((phase, "cfrr"))
    admin.error = error
    monkeypatch.setattr("flytekit.remote.FlyteRemote", lambda config: remote_of(admin))
    shown = run("show", FLYTE)
    assert (f"{FLYTE} has {line}" in shown.splitlines()) == bool(line) and (f"{FLYTE} has" in shown) == bool(line)
    written = run("report", FLYTE, "--to", tmp_path / "page.html").splitlines()
    assert written[1:] == ([f"{FLYTE} has {line}"] if line else [])
    if line:
        assert run("watch", FLYTE, code=1) == f"Error: {FLYTE} has {line}\n"


def test_an_execution_that_fails_before_there_is_a_study(watched):
    """It is not waited for any longer."""
    lines, _ = watched(batches(("QUEUED", None), ("FAILED", None)), code=1)
    assert lines == [f"Error: No study is in {FLYTE}. The execution is FAILED"]


class Broken:
    """A cluster that is out of reach."""

    def get_execution(self, identifier):
        raise RuntimeError("no token\nfor you")


def test_a_cluster_that_is_out_of_reach_for_a_while(watched):
    """Said once, with what was known; at first it is an error."""
    [first, last] = batches(("RUNNING", "cr"), ("SUCCEEDED", "cccc"))
    lines, _ = watched([first, Broken(), Broken(), last])
    assert [line.partition(";")[2] for line in lines] == [
        "",
        f" {FLYTE} is out of reach: RuntimeError: no token for you",
        "",
    ]
    lines, _ = watched([Broken()], code=1)
    assert lines == [f"Error: {FLYTE} is out of reach: RuntimeError: no token for you"]


def test_a_study_that_is_gone_when_the_execution_ends_is_looked_for_once_more(watched):
    """What was known last stays, with the reason."""
    gone = Admin({"o0": literal_of(mixed(), _path="/no/such/file")}, [])
    lines, _ = watched([*batches(("RUNNING", "cr")), gone, gone])
    assert len(lines) == 2 and lines[-1].endswith("best 9 (trial 0); There is no file /no/such/file")


def test_ctrl_c_ends_the_watching(watched):
    """And is no error."""
    lines, _ = watched([*batches(("RUNNING", "cr")), KeyboardInterrupt()])
    assert len(lines) == 1


def test_a_search_with_reused_pods(watched, tmp_path_factory):
    """Entry by entry of its journal, in the order of its trials, up to the last."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(CODE))
        execution = execution_of(tmp_path_factory.mktemp("engine"), "flow_of_journals", {})
    folder, count = tmp_path_factory.mktemp("journals"), length(Path(journal_of(execution)))
    admins = [Admin({}, with_entries(execution, folder / str(n), n), "RUNNING") for n in range(1, count + 1)]
    lines, _ = watched([*admins, Admin({}, with_entries(execution, folder / "all", count), "SUCCEEDED")])
    assert lines[0] == "RUNNING: 0/5 trials, 0 running, 0 failed, none complete"
    assert "RUNNING: 0/5 trials, 1 running, 0 failed, none complete" in lines
    assert lines[-1].startswith("SUCCEEDED: 5/5 trials, 0 running, ")
    counts = [int(line.split()[1].partition("/")[0]) for line in lines]
    assert counts == sorted(counts) and set(counts) == set(range(6))


def test_what_runs_no_search_is_shown_once(saved):
    """A study of Optuna's own."""
    assert run("watch", saved(mixed())) == "14 trials, 1 running\n"


@pytest.mark.parametrize(
    "search",
    [
        {},
        {"count": 1},
        {"count": 1, "start": 0.0, "n_trials": "4"},
        {"count": 1, "start": 0.0, "generations": "\x1b[31m"},
    ],
)
def test_notes_that_are_not_what_a_search_notes_are_refused(saved, search):
    """By their name, in one line."""
    study = mixed()
    set_system_attribute(study, marks.SEARCH_ATTRIBUTE, search)
    said = run("watch", saved(study), code=1)
    assert "`system_attrs['flyteoptuna:search']" in said and "\x1b" not in said


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["/absent.study"], 1, "Error: There is no file /absent.study"),
        (["flyte://p/d"], 2, "Error: `flyte://p/d` is no execution"),
        (["one.study", "--every", "0"], 2, "Error: Invalid value for '--every': 0.0 is not in the range 0.1<=x<="),
    ],
)
def test_what_cannot_be_watched(args, code, message):
    """One line says why."""
    assert run("watch", *args, code=code).splitlines()[-1].startswith(message)


class Terminal:
    """`flyteoptuna watch` in a terminal."""

    def __init__(self, *args):
        self.here, there = pty.openpty()
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "40"}
        command = [sys.executable, "-m", "flyteoptuna", "watch", *map(str, args), "--every", "0.1"]
        self.process = subprocess.Popen(command, env=environment, stdin=there, stdout=there, stderr=there)
        os.close(there)
        self.text = ""
        # What is read may end within a character.
        self.decoded = codecs.getincrementaldecoder("utf-8")().decode

    def read(self, until=None):
        """Read until a text comes, or to the end."""
        while until is None or until not in self.text:
            try:
                part = os.read(self.here, 4096)
            except OSError:
                # Linux says so when the other side is closed.
                part = b""
            if not part:
                assert until is None, self.text
                break
            self.text += self.decoded(part)
        return self.text

    def end(self):
        self.read()
        os.close(self.here)
        return self.process.wait(600)


def replace(path, study):
    aside = path.with_suffix(".aside")
    aside.write_bytes(dump_study(study))
    aside.replace(path)


def test_a_terminal_shows_the_search_live(saved):
    """It is drawn anew where it was, and in the end the last state stays, with the cursor."""
    path = saved(study_at("cfr"))
    terminal = Terminal(path)
    text = terminal.read("\x1b[2K")
    for part in ("watched", "2/4 trials, 1 running, 1 failed, best 9 (trial 0)", "x=2", "ValueError: too high"):
        assert part in text
    replace(path, study_at("cfcc"))
    assert terminal.end() == 0
    last = terminal.text[terminal.text.rindex(SHOWN) :]
    assert "4/4 trials, 0 running, 1 failed, best 6 (trial 3)" in last and "too high" in last
    assert terminal.text.index(HIDDEN) < terminal.text.rindex(SHOWN)


def test_ctrl_c_in_a_terminal_leaves_the_last_state(saved):
    """With the cursor, and without an error."""
    terminal = Terminal(saved(study_at("cr", name="odd [bold]\x07")))
    terminal.read("1/4 trials")
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.end() == 0
    last = terminal.text[terminal.text.rindex(SHOWN) :]
    assert "odd [bold]\ufffd" in last and "1/4 trials, 1 running" in last
    assert "\x07" not in terminal.text and "Traceback" not in terminal.text


def test_a_study_of_several_directions_has_a_pareto_front(saved):
    """And no best trial."""
    study = optuna.create_study(directions=["minimize", "minimize"])
    system_attrs.store_search_mark(study, 1, 1)
    mark = {marks.TRIAL_ATTRIBUTE: marks.TrialMark(search=1, generation=0).to_attribute()}
    study.add_trial(create_trial(values=[1, 2], system_attrs=mark))
    assert run("watch", saved(study)) == "generation 1/1: 1/1 trials, 0 running, 0 failed, 1 on the Pareto front\n"
