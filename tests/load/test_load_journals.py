"""The study of a search with reused pods, read from its journal while it runs, or once it has failed."""

from pathlib import Path

import optuna
import pytest
from admin import Admin, literal_of, remote_of
from command_line import run
from containers import CODE, study_of
from executions import FLYTE, execution_of, journal_of, length, with_entries
from flyteidl.core import literals_pb2 as pb
from mixed_study import mixed
from optuna.storages import JournalStorage
from optuna.trial import TrialState

from flyteoptuna import JournalObjectBackend, StudyFormatError, StudyNotFoundError, load_study
from flyteoptuna.load.load_study import load_journal, source_phase


@pytest.fixture(scope="module")
def execution(tmp_path_factory):
    """An execution of five trials in two reused pods: the workflow's outputs and its nodes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(CODE))
        return execution_of(tmp_path_factory.mktemp("engine"), "flow_of_journals", {})


def load(nodes, phase="RUNNING", source=FLYTE, **kwargs):
    return load_study(source, remote=remote_of(Admin({}, nodes, phase)), **kwargs)


@pytest.mark.parametrize("trusted", [False, True])
def test_a_journal_of_any_length_gives_the_study_as_it_stood(execution, tmp_path, trusted):
    """Trial by trial: what was told is as in the end, and what was asked is running."""
    final = study_of(execution[0]["o0"])
    assert len(final.trials) == 5
    for count in range(1, length(Path(journal_of(execution))) + 1):
        study = load(with_entries(execution, tmp_path / "journal", count), trusted=trusted)
        for trial, last in zip(study.trials, final.trials, strict=False):
            told = trial.state.is_finished()
            assert trial.state in (last.state, TrialState.RUNNING)
            assert (trial.params, trial.values) == (last.params, last.values) if told else trial.values is None
    assert [t.state for t in study.trials] == [t.state for t in final.trials]
    assert isinstance(study.sampler, optuna.samplers.RandomSampler) is trusted


def test_a_trial_beyond_the_search_is_left_out(execution, tmp_path):
    """One that a race has made, and that runs."""
    nodes = with_entries(execution, tmp_path / "journal", 100)
    JournalStorage(JournalObjectBackend(str(tmp_path / "journal"))).create_new_trial(0)
    assert len(load(nodes).trials) == 5


@pytest.mark.parametrize("phase", ["RUNNING", "FAILED", "ABORTED"])
def test_the_journal_is_read_and_left_as_it_is(execution, tmp_path, phase):
    """By show, by load_study and of one node."""
    nodes = with_entries(execution, tmp_path / "journal", 9)
    before = sorted((path.name, path.read_bytes()) for path in (tmp_path / "journal").iterdir())
    for source in (FLYTE, f"{FLYTE}#n0", f"{FLYTE}#workers-of-the-search"):
        # Which worker came first differs from run to run, but not what is finished by then.
        states = [t.state for t in load(nodes, phase, source).trials]
        assert states == [t.state for t in load(nodes).trials]
        assert any(state.is_finished() for state in states) and len(states) < 5
    assert sorted((path.name, path.read_bytes()) for path in (tmp_path / "journal").iterdir()) == before


def test_the_command_line_shows_a_running_search(execution, tmp_path, monkeypatch):
    """As any other study."""
    admin = Admin({}, with_entries(execution, tmp_path / "journal", 9), "RUNNING")
    monkeypatch.setattr("flytekit.remote.FlyteRemote", lambda config: remote_of(admin))
    count = len(load(admin.nodes).trials)
    assert f"shared: minimize\n{count} trials: " in run("show", FLYTE)
    assert run("export", FLYTE, "--to", tmp_path / "t.csv") == f"{count} trials of shared written to {tmp_path}/t.csv\n"
    run("report", FLYTE, "--to", tmp_path / "t.html")


def test_a_search_that_has_ended_needs_no_journal(execution):
    """Its study is that of the workflow, or of the finish."""
    final = study_of(execution[0]["o0"])
    assert load_study(FLYTE, remote=remote_of(Admin(*execution))).trials == final.trials
    assert load(execution[1]).trials == final.trials
    for admin in (Admin(*execution), Admin({}, execution[1])):
        assert load_journal(FLYTE, remote=remote_of(admin)) is None
    assert load_journal("some.study") is None


def test_a_journal_that_is_not_there_or_not_that_of_the_study(execution, tmp_path):
    """The journal is named."""
    gone, other = tmp_path / "gone", tmp_path / "other"
    with pytest.raises(StudyNotFoundError, match=rf"The journal {gone} cannot be read: .*no journal here"):
        load(with_entries(execution, gone, 0))
    nodes = with_entries(execution, other, 0)
    optuna.create_study(study_name="another", storage=JournalStorage(JournalObjectBackend(str(other))))
    with pytest.raises(
        StudyFormatError,
        match=rf"The journal {other} is not that of the study: JournalError: .* not the journal of study 'shared'",
    ):
        load(nodes)


@pytest.mark.parametrize("settings", ["text", "{}", "[]", '{"n_trials": "many", "batch": 1, "concurrency": 1}', ""])
def test_inputs_of_another_workflow_are_no_journal(settings):
    """Two strings beside a study that happen to bear the names."""
    texts = {
        name: pb.Literal(scalar=pb.Scalar(primitive=pb.Primitive(string_value=value)))
        for name, value in {"journal": "/nowhere", "settings": settings}.items()
    }
    assert len(load([("n0", "", {"study": literal_of(mixed()), **texts}, {})]).trials) == 14


def test_the_phase_of_an_execution_and_of_its_nodes(execution):
    """With whether it has ended; a file has none."""
    for name, ended in [("QUEUED", False), ("RUNNING", False), ("SUCCEEDED", True), ("ABORTED", True)]:
        assert source_phase(FLYTE, remote=remote_of(Admin({}, [], name))) == (name, ended, "")
    assert source_phase(f"{FLYTE}#n0", remote=remote_of(Admin(*execution))) == ("UNDEFINED", False, "")
    assert source_phase("one.study") == ("", False, "")
    with pytest.raises(StudyNotFoundError, match=f"{FLYTE} has no node n7"):
        source_phase(f"{FLYTE}#n7", remote=remote_of(Admin({}, [], "RUNNING")))
    with pytest.raises(StudyNotFoundError, match="There is no execution flyte://a/b/c"):
        source_phase("flyte://a/b/c", remote=remote_of(Admin({}, [])))
