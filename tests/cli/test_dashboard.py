"""`flyteoptuna dashboard`: a search in optuna-dashboard, while it runs."""

import contextlib
import http.client
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import wsgiref.simple_server
from collections import Counter
from contextlib import contextmanager

import pytest
from admin import Admin, literal_of, remote_of
from command_line import run
from executions import FLYTE
from flyteidl.core import literals_pb2 as pb
from mixed_study import mixed
from optuna.distributions import FloatDistribution
from optuna.storages import JournalStorage
from running import study_at

from flyteoptuna import JournalObjectBackend
from flyteoptuna.cli.commands.dashboard import THREAD_NAME, dashboard
from flyteoptuna.storage.file_format import dump_study, read_study
from flyteoptuna.study.settings import SearchSettings
from flyteoptuna.study.shared.journal_study import publish_study


def get(url, path, method="GET"):
    with urllib.request.urlopen(urllib.request.Request(f"{url}{path}", method=method)) as answer:
        return json.load(answer)


def states(url):
    """How many trials of the one study are in which state."""
    [summary] = get(url, "/api/studies")["study_summaries"]
    found = get(url, f"/api/studies/{summary['study_id']}?after=0")
    return summary["study_name"], Counter(trial["state"] for trial in found["trials"])


def until(condition):
    """Wait until it holds."""
    while not condition():
        time.sleep(0.05)


def test_a_dashboard_of_a_file(saved):
    """At the address that it prints, with all trials, until Ctrl-C, which is no error."""
    command = [sys.executable, "-m", "flyteoptuna", "dashboard", str(saved(mixed())), "--port", "0"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        line = process.stdout.readline().decode()
        assert line.startswith("mixed is at http://127.0.0.1:") and line.endswith("/dashboard until Ctrl-C\n")
        url = line.split()[3].removesuffix("/dashboard")
        assert states(url) == ("mixed", {"Complete": 6, "Pruned": 3, "Fail": 3, "Running": 1, "Waiting": 1})
        with urllib.request.urlopen(f"{url}/dashboard") as page:
            assert b"<html" in page.read()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=600)
    assert (process.returncode, out, err) == (0, b"", b"")


@contextmanager
def served(source, monkeypatch):
    """The address of the dashboard of a source, served by this process."""
    servers, make = [], wsgiref.simple_server.make_server

    def made(*args):
        servers.append(make(*args))
        return servers[0]

    monkeypatch.setattr(wsgiref.simple_server, "make_server", made)
    thread = threading.Thread(target=dashboard.callback, args=(source, 0, 0.1))
    thread.start()
    until(lambda: servers or not thread.is_alive())
    try:
        yield f"http://127.0.0.1:{servers[0].server_port}"
    finally:
        servers[0].shutdown()
        thread.join()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_nothing_can_be_changed(saved, monkeypatch, method):
    """Whatever the page offers."""
    path = saved(mixed())
    with served(str(path), monkeypatch) as url:
        with pytest.raises(urllib.error.HTTPError, match="403"):
            get(url, "/api/studies/0", method)
        assert states(url)[0] == "mixed"


def asked(url, host):
    """The status of a request with such a `Host` header; None for no header."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"))
    connection.putrequest("GET", "/api/studies", skip_host=True)
    for each in host if isinstance(host, list) else [host] if host is not None else []:
        connection.putheader("Host", each)
    connection.endheaders()
    with contextlib.closing(connection):
        return connection.getresponse().status


OWN = ["127.0.0.1", "localhost", "LOCALHOST:8080", "127.0.0.1:1", "[::1]:8080", "[::1]"]
OTHERS = [
    "evil.example",
    "evil.example:8080",
    "localhost.evil.example",
    "evil.example#localhost",
    "127.0.0.1.nip.io",
    "",
]
OTHERS += [
    "127.0.0.1@evil.example",
    "localhost:80@evil",
    "0.0.0.0",
    "127.0.0.2",
    "localhost:a",
    ["localhost", "evil"],
    None,
]


def test_only_requests_for_this_machine_are_answered(saved, monkeypatch):
    """A page from elsewhere whose name leads here gets nothing; a forwarded port may be another."""
    with served(str(saved(mixed())), monkeypatch) as url:
        assert [asked(url, host) for host in OWN] == [200] * len(OWN)
        assert [asked(url, host) for host in OTHERS] == [421] * len(OTHERS)


def test_a_search_in_batches_is_loaded_again_while_it_runs(monkeypatch):
    """As long as there may be something new, through looks that fail."""

    def admin(trials, phase="RUNNING"):
        return Admin({}, [("n0", "", {}, {"o0": literal_of(study_at(trials))})], phase)

    class Broken:
        def get_execution(self, identifier):
            failed.append(identifier)
            raise RuntimeError("no token")

    now, failed = [admin("cr")], []
    monkeypatch.setattr("flytekit.remote.FlyteRemote", lambda config: remote_of(now[0]))
    with served(FLYTE, monkeypatch) as url:
        assert states(url) == ("watched", {"Complete": 1, "Running": 1})
        now[0] = Broken()
        until(lambda: len(failed) > 1)
        assert states(url) == ("watched", {"Complete": 1, "Running": 1})
        now[0] = admin("cfcc")
        until(lambda: states(url) == ("watched", {"Complete": 3, "Fail": 1}))
        now[0] = admin("cfcc", "SUCCEEDED")
    # The thread that looked has ended with the execution.
    until(lambda: THREAD_NAME not in [thread.name for thread in threading.enumerate()])


def test_a_journal_of_reused_pods_is_read_as_it_grows(tmp_path, monkeypatch):
    """Read-only: what others write is seen, and the folder gets nothing from it."""
    journal = str(tmp_path / "journal")
    base = study_at("", name="shared")
    publish_study(read_study(dump_study(base)), JournalObjectBackend(journal))
    texts = {"journal": journal, "settings": SearchSettings(n_trials=4, batch_size=2, concurrency=2).to_json()}
    literals = {
        name: pb.Literal(scalar=pb.Scalar(primitive=pb.Primitive(string_value=text))) for name, text in texts.items()
    }
    nodes = [("n0", "", {}, {"study": literal_of(base), **literals})]
    monkeypatch.setattr("flytekit.remote.FlyteRemote", lambda config: remote_of(Admin({}, nodes, "RUNNING")))
    with served(FLYTE, monkeypatch) as url:
        assert states(url) == ("shared", {})
        storage = JournalStorage(JournalObjectBackend(journal))
        trial = storage.create_new_trial(0)
        storage.set_trial_param(trial, "x", 0.5, FloatDistribution(0, 1))
        until(lambda: states(url) == ("shared", {"Running": 1}))
        assert sorted(os.listdir(journal)) == ["00000000.json", "00000001.json", "00000002.json"]


def test_a_port_that_is_taken(saved):
    """One line names it."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        error = run("dashboard", saved(mixed()), "--port", port, code=1)
    assert error.startswith(f"Error: Port {port} cannot be had: ") and len(error.splitlines()) == 1


def test_without_optuna_dashboard(saved, monkeypatch):
    """One line says what to install."""
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "optuna_dashboard" else find(name))
    error = run("dashboard", saved(mixed()), code=1)
    assert error == "Error: This needs optuna-dashboard: pip install optuna-dashboard\n"


def test_what_has_no_study(monkeypatch):
    """One line says what is there instead."""
    monkeypatch.setattr("flytekit.remote.FlyteRemote", lambda config: remote_of(Admin({}, [], "QUEUED")))
    assert run("dashboard", FLYTE, code=1) == f"Error: No study is in {FLYTE}. The execution is QUEUED\n"
    assert run("dashboard", "/absent.study", code=1) == "Error: There is no file /absent.study\n"
