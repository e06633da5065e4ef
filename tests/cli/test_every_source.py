"""Every command and every way to load a study, over local searches of both kinds that run, ended or were killed."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from wsgiref.util import setup_testing_defaults

import flytekit as fl
import optuna
import pytest
from command_line import run

from flyteoptuna import Optimizer, SearchFailedError, load_study, suggest
from flyteoptuna.cli.commands.dashboard import _dashboard_app
from flyteoptuna.cli.main import main
from flyteoptuna.cli.pyflyte_option import StudyParamType
from flyteoptuna.local.worker_pool import WORKERS
from flyteoptuna.storage.local_studies import resolve_latest

ROOT = Path(__file__).parents[2]
SCRIPT = """
import sys, time
import flytekit as fl
from flyteoptuna import Optimizer, current_trial, suggest
from flyteoptuna.local import study_file

study_file.SAVE_INTERVAL, study_file.MAX_SAVE_SHARE = 0, float("inf")

@fl.task
def watched(x: float) -> float:
    number = current_trial().number
    if number == 1:
        raise ValueError("too high")
    if number == 4 and {blocks}:
        print("blocked", file=sys.stderr, flush=True)
        while True:
            time.sleep(0.05)
    return x

Optimizer(watched, 2, 6, reuse_pods={reuse})(x=suggest.float(0, 1))
"""
ENDS = {"running": None, "killed": signal.SIGKILL, "terminated": signal.SIGTERM, "interrupted": signal.SIGINT}
KINDS = ("batches", "reused")
STATES = ("finished", *ENDS)
UNFINISHED_LINE = "The search is unfinished after 4 of 6 trials: no process runs it any more."


class Search:
    """A local search in a process and a folder for temporary files of its own."""

    def __init__(self, folder, kind, state):
        self.folder, self.kind, self.state = folder, kind, state
        (folder / "script.py").write_text(SCRIPT.format(blocks=state != "finished", reuse=kind == "reused"))
        environment = {**os.environ, WORKERS: "1", "TMPDIR": str(folder)}
        self.process = subprocess.Popen(
            [sys.executable, "script.py"], cwd=folder, env=environment, stderr=subprocess.PIPE, text=True
        )
        self.path = next(line for line in self.process.stderr if "flyteoptuna watch" in line).split()[-1]
        if state == "finished":
            # It ends before the pipe is full.
            self.process.wait()
        else:
            next(line for line in self.process.stderr if "blocked" in line)
        if (end := ENDS.get(state)) is not None:
            self.process.send_signal(end)
            self.process.wait()


@pytest.fixture(scope="module", params=[(kind, state) for state in STATES for kind in KINDS], ids=" ".join)
def search(request, tmp_path_factory):
    """A search of each kind in each state."""
    search = Search(tmp_path_factory.mktemp("search"), *request.param)
    yield search
    search.process.kill()
    search.process.communicate()


@pytest.fixture(params=["path", "latest"])
def source(request, search, monkeypatch):
    """The path that the log named before the first trial, or the word for the latest search."""
    monkeypatch.setattr(tempfile, "tempdir", str(search.folder))
    return search.path if request.param == "path" else "latest"


def counts(search):
    """States of the trials that every reader must find, and of how many in all."""
    if search.state == "finished":
        return ["COMPLETE", "FAIL", *["COMPLETE"] * 4]
    # A batch of two was asked; a worker of reused pods asks one by one.
    return ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE", *["RUNNING"] * (2 if search.kind == "batches" else 1)]


@pytest.mark.parametrize("trusted", [False, True])
def test_it_is_loaded_and_continued(search, source, trusted, tmp_path, monkeypatch):
    """Every trial that has ended is there; the search goes on with it, with its sampler if it is trusted."""
    study = load_study(source, trusted=trusted)
    assert [t.state.name for t in study.trials] == counts(search)
    assert study.study_name == "script.watched"
    if trusted:
        assert study.sampler._constant_liar
        study.sampler = optuna.samplers.RandomSampler()
    # The next search is not the latest of these.
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    more = Optimizer(__import__("flow_of_commands").line, 1, 1, study=study)(x=suggest.float(0, 1))
    assert [t.state.name for t in more.trials] == [s.replace("RUNNING", "FAIL") for s in counts(search)] + ["COMPLETE"]


@pytest.fixture(autouse=True)
def code(flows):
    """The modules of flows."""
    flows("flow_of_commands")


def test_pyflyte_run_takes_it(search, source):
    """As the value of `--study`."""
    study = StudyParamType().convert(source, None, None)
    assert [t.state.name for t in study.trials] == counts(search)


def shown(search):
    states = counts(search)
    return f"{len(states)} trials: {states.count('COMPLETE')} complete, 1 failed"


def test_show(search, source):
    """Its trials, and why one failed."""
    text = run("show", source)
    assert (UNFINISHED_LINE in text) == (search.state not in ("finished", "running")) and "has failed" not in text
    assert shown(search) in text and "ValueError: too high" in text and text.startswith("script.watched: minimize")


def test_list(search, source):
    """With its state, and a command that works."""
    [line, shows] = run("list").splitlines()
    state = {"running": ", running", "finished": ""}.get(search.state, ", unfinished")
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  script\.watched: \d trials \(", line)
    assert line.endswith(f"){state}")
    assert shown(search) in run(*shlex.split(shows)[1:])


def test_watch(search, source, monkeypatch):
    """It ends with a search that no process runs, with an error if the search has not finished."""

    def interrupted(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupted)
    code = search.state not in ("finished", "running")
    text = run("watch", source, code=code)
    if code:
        assert text == f"Error: {UNFINISHED_LINE}\n"
    else:
        done = 6 if search.state == "finished" else 4
        assert f"{done}/6 trials, {len(counts(search)) - done} running, 1 failed, best " in text


def test_dashboard(search, source):
    """With all trials."""
    app, name = _dashboard_app(resolve_latest(source), 600)
    answers = []

    def get(path, query=""):
        environ = {"PATH_INFO": path, "QUERY_STRING": query}
        setup_testing_defaults(environ)
        return json.loads(b"".join(app(environ, lambda *answer: answers.append(answer[0]))))

    [summary] = get("/api/studies")["study_summaries"]
    trials = get(f"/api/studies/{summary['study_id']}", "after=0")["trials"]
    assert name == "script.watched" and answers == ["200 OK"] * 2
    assert [trial["state"].upper() for trial in trials] == counts(search)


# Lines of the documentation and of the help that take a study, with what stands for one.
PAGES = [*ROOT.glob("docs/*.md"), ROOT / "README.md"]
RECIPE = re.compile(
    r"^ *flyteoptuna (\w+) (?:(?:flyte|s3)://\S+|STUDY|FILE|latest|search\.study)(?= |$)(.*)$", re.MULTILINE
)
# A remark or a redirection after a command.
REMARK = re.compile(r"\s[#>]|\s{3,}")


def recipes():
    texts = [path.read_text() for path in PAGES]
    texts += [main.help, *(each.help for each in main.commands.values())]
    found = [match for text in texts for match in RECIPE.findall(text)]
    return sorted({(name, REMARK.split(rest)[0].strip()) for name, rest in found})


def test_every_command_that_takes_a_study_is_documented():
    """The list of recipes is not empty by mistake."""
    takes = {name for name, each in main.commands.items() if any(p.name == "study" for p in each.params)}
    assert {name for name, _ in recipes()} == takes == {"show", "watch", "dashboard", "report", "export"}


@pytest.mark.parametrize(("name", "rest"), [each for each in recipes() if each[0] in {"show", "report", "export"}])
def test_every_recipe_works(search, source, tmp_path, monkeypatch, name, rest):
    """As it stands in the documentation, with this study."""
    monkeypatch.chdir(tmp_path)
    run(name, source, *shlex.split(rest))
    if "--to" in rest:
        assert len(os.listdir(tmp_path)) == 1


@fl.task
def wanting(x: float) -> float:
    if x < 2:
        raise ValueError("too high")
    return x


@pytest.mark.parametrize("reuse", [False, True], ids=KINDS)
@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"n_trials": 2}, "The search has failed after 2 of 2 trials: No trial completed: all 2 failed."),
        ({"n_trials": 40}, "The search has failed after 10 of 40 trials: All of the first 10 trials failed."),
    ],
)
def test_a_failed_local_search_is_said_to_have_failed(tmp_path, monkeypatch, reuse, settings, line):
    """By each command that looks at its study."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(SearchFailedError):
        Optimizer(wanting, 1, **settings, reuse_pods=reuse)(x=suggest.float(0, 1))
    assert line in run("show", "latest").splitlines()
    assert run("report", "latest", "--to", tmp_path / "page.html").splitlines()[1:] == [line]
    assert run("watch", "latest", code=1).splitlines()[-1] == f"Error: {line}"


def test_a_search_with_reused_pods_that_its_settings_end(tmp_path, monkeypatch):
    """Its journal says why."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(SearchFailedError):
        Optimizer(wanting, 1, 9, max_failures=2, reuse_pods=True)(x=suggest.float(0, 1))
    line = "The search has failed after 3 of 9 trials: `max_failures=2` was exceeded: all 3 trials failed."
    assert line in run("show", "latest").splitlines()


def test_a_list_without_studies(tmp_path, monkeypatch):
    """It says how one comes to be."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    [line] = run("list").splitlines()
    assert line.startswith("No local study is here yet: each search on this machine makes one") and "./" not in line
