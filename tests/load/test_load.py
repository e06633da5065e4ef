"""Studies that are found and loaded: files, URLs, executions of a cluster."""

import os
import re
import socket
from pathlib import Path

import msgpack
import optuna
import pytest
from admin import Admin, literal_of, remote_of, state_at
from command_line import run
from containers import CODE, study_of
from executions import FLYTE, execution_of
from flyteidl.core import literals_pb2 as pb
from mixed_study import mixed
from optuna.trial import TrialState

from flyteoptuna import StudyFormatError, StudyNotFoundError, export, load_study
from flyteoptuna.storage.file_format import dump_study


def test_a_trusted_study_goes_on(saved):
    """With its own sampler."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    path = saved(study)
    again = load_study(path, trusted=True)
    assert again.ask().suggest_float("x", 0, 1) == study.ask().suggest_float("x", 0, 1)


@pytest.mark.parametrize("scheme", ["memory", "file"])
def test_a_study_at_a_url(saved, scheme, tmp_path):
    """Through fsspec."""
    import fsspec

    study = mixed()
    url = f"file://{saved(study)}" if scheme == "file" else "memory://bucket/one.study"
    with fsspec.open(url, "wb") as file:
        file.write(dump_study(study))
    assert len(load_study(url).trials) == 14
    assert "14 trials" in run("show", url)
    missing = url.replace("one", "two")
    assert run("show", missing, code=1) == f"Error: There is no file {missing}\n"


@pytest.mark.parametrize(
    ("target", "source", "kind"),
    [
        ("sqlite:///{}/one.db", "{}/one.db", "database"),
        ("sqlite:///{}/one.db", "sqlite:///{}/one.db", "database"),
        ("sqlite:///{}/one.db", "postgresql+psycopg2://u:secret@host/base", "database"),
        ("{}/one.log", "file://{}/one.log", "journal"),
    ],
)
def test_what_optuna_itself_keeps_is_left_to_its_own_load_study(tmp_path, target, source, kind):
    """Which the error names, in Python and on the command line."""
    export(mixed(), target.format(tmp_path))
    words = f"Not a study file, but a {kind}, which Optuna's own load_study reads: optuna.load_study(study_name=..."
    with pytest.raises(StudyFormatError, match=re.escape(words)) as raised:
        load_study(source.format(tmp_path))
    assert words in run("show", source.format(tmp_path), code=1) and "secret" not in str(raised.value)


@pytest.fixture(scope="module")
def execution(tmp_path_factory):
    """An execution of four trials in two generations: the workflow's outputs and its nodes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(CODE))
        return execution_of(tmp_path_factory.mktemp("engine"), "flow_of_squares", {"concurrency": 2, "n_trials": 4})


def load(admin, source=FLYTE, **kwargs):
    return load_study(source, remote=remote_of(admin), **kwargs)


def same(study, other):
    """Whether the trials are the same, but for the times at which those without a report were told."""
    return [(t.number, t.state, t.values, t.params) for t in study.trials] == [
        (t.number, t.state, t.values, t.params) for t in other.trials
    ]


def test_the_study_that_a_workflow_outputs(execution):
    """Found by its literal, among outputs of other types; one call for it."""
    admin = Admin(*execution)
    study = load(admin)
    assert study.trials == study_of(execution[0]["o0"]).trials and len(study.trials) == 4
    assert not admin.calls
    assert load(Admin(*execution), f"{FLYTE}/o0").trials == study.trials
    again = load(Admin(*execution), trusted=True)
    assert isinstance(again.sampler, optuna.samplers.RandomSampler)


def test_the_study_of_a_workflow_that_outputs_none(execution):
    """It is the one that the finish made."""
    outputs = {name: literal for name, literal in execution[0].items() if name != "o0"}
    admin = Admin(outputs, execution[1])
    assert load(admin).trials == study_of(execution[0]["o0"]).trials
    assert admin.calls == {"list": 1, "data": 1}


def test_the_study_while_a_batch_runs(execution):
    """The batch before is told, and the trials of this one are running."""
    ended = {"n0", "n1-0-trials-of-generation-0", "n1-0-dn1"}
    study = load(Admin({}, state_at(execution, ended, gone=["n2"]), "RUNNING"))
    assert [t.state.is_finished() for t in study.trials] == [True, True, False, False]
    assert {t.state for t in study.trials[2:]} == {TrialState.RUNNING}


def test_the_study_between_two_generations(execution):
    """The reports that no driver has told yet are in it."""
    ended = {"n0", "n1-0-trials-of-generation-0"}
    gone = ["n2", "n1-0-dn1", "n1-0-trials-of-generation-1"]
    study = load(Admin({}, state_at(execution, ended, gone=gone), "RUNNING"))
    assert len(study.trials) == 2
    assert [t.values for t in study.trials] == [t.values for t in study_of(execution[0]["o0"]).trials[:2]]


@pytest.mark.parametrize("trusted", [False, True])
def test_the_study_of_a_search_that_failed_in_the_end(execution, trusted):
    """All its trials are told, as the finish would have."""
    ended = {path for path, *_ in execution[1]} - {"n2"}
    admin = Admin({}, state_at(execution, ended), "FAILED", "[2/2] finish failed\nTraceback")
    assert same(load(admin, trusted=trusted), study_of(execution[0]["o0"]))


def test_the_study_of_one_node(execution):
    """The search's own is the last generation's, with its reports; a nested node is found by its unique id."""
    final = study_of(execution[0]["o0"])
    assert same(load(Admin(*execution), f"{FLYTE}#n1"), final)
    assert load(Admin(*execution), f"{FLYTE}#n2").trials == final.trials
    assert len(load(Admin(*execution), f"{FLYTE}#n1-0-trials-of-generation-0").trials) == 2


def test_a_study_inline_or_in_an_optional():
    """Read without a file."""
    study = mixed()
    inner = literal_of(study)
    union = pb.Literal(scalar=pb.Scalar(union=pb.Union(value=inner)))
    number = pb.Literal(scalar=pb.Scalar(primitive=pb.Primitive(integer=3)))
    for literal in (inner, union):
        found = load(Admin({"o0": number, "o1": literal}, []))
        assert found.study_name == "mixed" and len(found.trials) == 14
    start = [("n0", "", {"study": inner}, {}), ("end-node", "", {}, {})]
    assert len(load(Admin({}, start, "RUNNING")).trials) == 14


def test_structs_that_are_no_studies_are_passed_over():
    """Another dataclass with a path, bytes that are no msgpack, and a task that compares two studies."""
    study = mixed()
    other = pb.Literal(scalar=pb.Scalar(binary=pb.Binary(value=msgpack.dumps({"_path": "x"}), tag="msgpack")))
    odd = pb.Literal(scalar=pb.Scalar(binary=pb.Binary(value=b"\xc1", tag="msgpack")))
    smaller = literal_of(mixed(n_trials=1))
    nodes = [
        ("n0", "", {}, {"o0": literal_of(study)}),
        ("n1", "", {"a": literal_of(study), "b": smaller}, {}),
        ("n2", "", {"a": odd}, {"o0": other}),
    ]
    assert len(load(Admin({}, nodes)).trials) == 14


@pytest.mark.parametrize(
    ("source", "admin", "message"),
    [
        ("flyte://a/b/c", Admin({}, []), "There is no execution flyte://a/b/c"),
        (FLYTE, Admin({}, [], "QUEUED"), f"No study is in {FLYTE}. The execution is QUEUED"),
        (
            FLYTE,
            Admin({}, [], "FAILED", "pod died\nTraceback"),
            f"No study is in {FLYTE}. The execution is FAILED: pod died",
        ),
        (
            FLYTE,
            Admin({}, [], "FAILED", "Trace:\n\n    Traceback\n\nMessage:\n\n    TypeError: no number\n"),
            f"No study is in {FLYTE}. The execution is FAILED: TypeError: no number",
        ),
        (f"{FLYTE}#n7", Admin({}, [], "RUNNING"), f"{FLYTE} has no node n7. The execution is RUNNING"),
        (f"{FLYTE}#n0", Admin({}, [("n0", "", {}, {})]), f"No study is in {FLYTE}#n0. The execution is SUCCEEDED"),
        (
            f"{FLYTE}/best",
            Admin({"o0": literal_of(mixed())}, []),
            f"{FLYTE} has no study as output `best`; its studies: o0. The execution is SUCCEEDED",
        ),
        (
            FLYTE,
            Admin({"a": literal_of(mixed()), "b": literal_of(mixed())}, []),
            f"{FLYTE} outputs several studies: add one of /a, /b",
        ),
        (
            FLYTE,
            Admin({"a": literal_of(mixed(), _path="/no/such/file")}, []),
            "There is no file /no/such/file",
        ),
    ],
    ids=["absent", "queued", "failed", "traceback", "no node", "bare node", "no output", "several", "file gone"],
)
def test_executions_without_a_study(monkeypatch, source, admin, message):
    """One line says what there is instead, from the command line too."""
    with pytest.raises(StudyNotFoundError) as raised:
        load(admin, source)
    assert str(raised.value) == message
    monkeypatch.setattr("flytekit.remote.FlyteRemote", lambda config: remote_of(admin))
    assert run("show", source, code=1) == f"Error: {message}\n"


def test_a_cluster_out_of_reach(monkeypatch):
    """One line, whatever the client raises."""

    class Broken:
        def get_execution(self, identifier):
            raise RuntimeError("no token\nfor you")

    monkeypatch.setattr("flytekit.remote.FlyteRemote", lambda config: remote_of(Broken()))
    assert run("show", FLYTE, code=1) == f"Error: {FLYTE} is out of reach: RuntimeError: no token for you\n"


@pytest.mark.parametrize("url", ["{}", "file://{}"])
@pytest.mark.parametrize("kind", ["pipe", "socket", "device", "link to a pipe"])
def test_what_is_no_file_is_refused_at_once(kind, url, tmp_path, monkeypatch):
    """It is not opened: nobody may ever write into a pipe."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "one.study"
    if kind == "device":
        path = Path("/dev/zero")
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    else:
        os.mkfifo(tmp_path / "pipe")
        path = path if kind == "link to a pipe" else tmp_path / "pipe"
        if kind == "link to a pipe":
            path.symlink_to("pipe")
    for trusted in (False, True):
        with pytest.raises(StudyNotFoundError, match=f"{path} is a pipe, a socket or a device, and no file"):
            load_study(url.format(path), trusted=trusted)
    assert "is a pipe, a socket or a device" in run("show", url.format(path), code=1)
