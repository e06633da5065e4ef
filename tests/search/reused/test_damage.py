"""A journal that is damaged before its search is collected: what precedes the damage is kept, and named."""

import json
import shutil
from pathlib import Path

import pytest
from reused_pods import Pods

from flyteoptuna import load_study
from flyteoptuna.errors import JournalError, SearchFailedError, StudyFormatError, StudyNotFoundError
from flyteoptuna.journal.entries import entry_name


def bad_record(body):
    entry = json.loads(body)
    return json.dumps({**entry, "records": [{"op_code": 99}]}).encode()


DAMAGES = {
    "half": lambda body: body[:40],
    "garbled": lambda body: b"?",
    "bad record": bad_record,
    "of another version": lambda body: body.replace(b'"format":1', b'"format":2'),
    "missing": lambda body: None,
}


@pytest.fixture
def searched(flows):
    """The pods of a search of two trials whose workers have ended, and the folder of its journal."""
    pods = Pods(flows("flow_of_reused"))
    pods.search()
    pods.worker()
    return pods, Path(pods.shared["journal"].removeprefix("file://"))


def damage(folder, number, how):
    path = folder / entry_name(number)
    body = DAMAGES[how](path.read_bytes())
    path.unlink()
    if body is not None:
        path.write_bytes(body)


def states(study):
    return [trial.state.name for trial in study.trials]


# The study, and for each trial its claim, what it was asked, and what it was told.
@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize(("number", "expected"), [(3, ["RUNNING"]), (4, ["COMPLETE"]), (5, ["COMPLETE", "RUNNING"])])
def test_what_precedes_the_damage_is_kept(searched, how, number, expected, said):
    """In the file that the error of the last pod names, and by whoever reads the journal."""
    pods, folder = searched
    damage(folder, number, how)
    told = [state.replace("RUNNING", "FAIL") for state in expected]
    with pytest.raises(
        SearchFailedError, match=rf"{entry_name(number)} (is|holds|has)(.|\n)*Before it, \d of 2"
    ) as failed:
        pods.finish()
    assert states(load_study(str(failed.value).rpartition("The study as it stands: ")[2])) == told
    said.clear()
    assert states(load_study(folder)) == expected
    assert len(said) == 1 and f"{folder}/{entry_name(number)}" in said[0]


@pytest.mark.parametrize("how", ["half", "bad record"])
def test_damage_after_the_end_of_a_search_costs_nothing(searched, said, how):
    """The study is complete; the log names the entry."""
    pods, folder = searched
    (folder / entry_name(7)).write_bytes(DAMAGES[how]((folder / entry_name(6)).read_bytes()))
    assert states(pods.finish()) == ["COMPLETE"] * 2
    assert [f"{folder}/{entry_name(7)}" in text for text in said] == [True]


@pytest.mark.parametrize("how", DAMAGES)
def test_a_journal_without_an_intact_entry_has_no_study(searched, how):
    """Its reader says so; of the search, there is the study with which it began."""
    pods, folder = searched
    damage(folder, 0, how)
    with pytest.raises((StudyFormatError, StudyNotFoundError), match=rf"{entry_name(0)}|There is no journal in"):
        load_study(folder)
    with pytest.raises(SearchFailedError, match=rf"{entry_name(0)}(.|\n)*Before it, 0 of 2 trials had ended") as failed:
        pods.finish()
    assert states(load_study(str(failed.value).rpartition("The study as it stands: ")[2])) == []


def test_a_journal_that_is_gone_is_told(searched):
    """The study with which the search began is all that is left."""
    pods, folder = searched
    shutil.rmtree(folder)
    with pytest.raises(SearchFailedError, match=rf"{folder}: there is no journal here\nBefore it, 0 of 2") as failed:
        pods.finish()
    assert states(load_study(str(failed.value).rpartition("The study as it stands: ")[2])) == []


def test_a_worker_names_the_entry(searched):
    """It ends at once, and Flyte does not run it again."""
    pods, folder = searched
    damage(folder, 4, "bad record")
    with pytest.raises(JournalError, match=rf"{entry_name(4)} holds what Optuna did not write: `records\[0\].op_code`"):
        pods.worker()
