"""A study that is loaded from the folder of its journal, by its path or URL."""

import json
import os
import shutil
from pathlib import Path

import optuna
import pytest
from containers import CODE, study_of
from executions import execution_of, journal_of
from optuna.distributions import FloatDistribution
from optuna.storages import JournalStorage
from optuna.trial import TrialState

from flyteoptuna import JournalObjectBackend, Optimizer, StudyFormatError, StudyNotFoundError, load_study, suggest
from flyteoptuna.journal.entries import entry_name
from flyteoptuna.study.shared.journal_study import BEGUN


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """The study and the journal of a search of five trials in two reused pods."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(CODE))
        execution = execution_of(tmp_path_factory.mktemp("engine"), "flow_of_journals", {})
    return study_of(execution[0]["o0"]), journal_of(execution)


@pytest.fixture
def journal(searched, tmp_path):
    """A copy of the journal."""
    return Path(shutil.copytree(searched[1], tmp_path / "a journal"))


def outcomes(study):
    return [(t.number, t.state, t.params, t.values) for t in study.trials]


@pytest.mark.parametrize("trusted", [False, True])
@pytest.mark.parametrize("form", ["{}", "{}/", "file://{}", "file://{}/"])
def test_a_journal_has_the_study_of_its_search(searched, journal, form, trusted):
    """All trials, in the order of the study that the search returned; with its sampler only if it is trusted."""
    study = load_study(form.format(journal), trusted=trusted)
    assert outcomes(study) == outcomes(searched[0])
    assert study.study_name == "shared" and str(journal) in study.file
    assert isinstance(study.sampler, optuna.samplers.RandomSampler) is trusted


def test_a_journal_without_the_file_of_its_study_has_the_results(searched, journal):
    """A sampler that cannot be restored is refused where it was asked for."""
    (journal / BEGUN).unlink()
    assert {t.number for t in load_study(journal).trials} >= {t.number for t in searched[0].trials}
    with pytest.raises(StudyNotFoundError, match=rf"The sampler of .* cannot be restored: There is no file .*{BEGUN}"):
        load_study(journal, trusted=True)


def test_a_journal_of_plain_optuna_is_a_study_too(tmp_path):
    """If it holds one; of several, Optuna reads each."""
    storage = JournalStorage(JournalObjectBackend(str(tmp_path / "j")))
    plain = optuna.create_study(study_name="plain", storage=storage, direction="maximize")
    plain.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
    for trusted in (False, True):
        study = load_study(tmp_path / "j", trusted=trusted)
        assert outcomes(study) == outcomes(plain) and study.direction == plain.direction
    optuna.create_study(study_name="another", storage=storage)
    with pytest.raises(StudyNotFoundError, match=r"must hold one study, but holds 2 \(plain, another\).*load_study\("):
        load_study(tmp_path / "j")


def test_a_folder_without_a_journal(tmp_path):
    """It is named, with what is missing."""
    with pytest.raises(StudyNotFoundError, match=f"There is no journal in the folder {tmp_path}"):
        load_study(tmp_path)
    with pytest.raises(StudyNotFoundError, match=f"file://{tmp_path}"):
        load_study(f"file://{tmp_path}")


@pytest.mark.parametrize(
    "record",
    [
        {"op_code": 99},
        {"op_code": 4},
        {"op_code": 6, "trial_id": 0, "state": 1, "values": ["much"]},
        {"op_code": 5, "trial_id": 0, "param_name": "x", "param_value_internal": 0.5, "distribution": "{}"},
        {"op_code": 8, "trial_id": 0, "user_attr": {"a": float("nan")}},
    ],
)
@pytest.mark.parametrize("of_a_search", [True, False])
def test_a_journal_of_a_stranger_is_refused_in_one_line(journal, tmp_path, record, of_a_search):
    """Whatever its records hold, which Optuna takes as they are."""
    if not of_a_search:
        storage = JournalStorage(JournalObjectBackend(str(tmp_path / "plain")))
        trial = optuna.create_study(storage=storage).ask({"x": FloatDistribution(0, 1)})
        assert trial.number == 0
        journal = tmp_path / "plain"
    number = len([*journal.glob("0*.json")])
    last = json.loads((journal / entry_name(number - 1)).read_text())
    entry = {**last, "number": number, "after": last["mark"], "mark": "a-1", "records": [record]}
    (journal / entry_name(number)).write_text(json.dumps(entry))
    try:
        load_study(journal)
    except StudyFormatError as error:
        assert f"The journal {journal}" in str(error) and "\n" not in str(error)


def test_a_worker_that_was_killed_leaves_a_running_trial(journal, flows):
    """It is loaded as such, and the search that continues the study fails it."""
    entries = sorted(journal.glob("0*.json"))
    while TrialState.RUNNING not in {t.state for t in load_study(journal).trials}:
        entries.pop().unlink()
    study = load_study(journal, trusted=True)
    more = Optimizer(flows("flow_of_journals").square, 1, 2, study=study)(x=suggest.float(-1, 1))
    running = [t.number for t in study.trials if t.state == TrialState.RUNNING]
    assert running and {more.trials[number].state for number in running} == {TrialState.FAIL}
    assert len(more.trials) == len(study.trials) + 2


@pytest.mark.parametrize("entry", ["00000000.json", "00000001.json", BEGUN, "00000000.pack"])
@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_a_pipe_among_the_entries_is_refused_at_once(journal, entry, form):
    """Nobody may ever write into it."""
    (journal / entry).unlink(missing_ok=True)
    os.mkfifo(journal / entry)
    message = "cannot be read" if "://" in form else f"{entry} is a pipe, a socket or a device"
    with pytest.raises(StudyNotFoundError, match=message):
        load_study(form.format(journal))
