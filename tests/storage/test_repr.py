"""What a study says of itself: in a line, and in a notebook."""

import copy
import pickle

import pytest
from optuna.pruners import NopPruner
from optuna.samplers import RandomSampler
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

from flyteoptuna import load_study
from flyteoptuna.storage.file_format import dump_study
from flyteoptuna.storage.search_study import SearchStudy, new_study


def made(*trials, directions=1, name="s", file=None):
    study = new_study([StudyDirection.MINIMIZE] * directions, RandomSampler(), NopPruner(), name)
    study.add_trials(trials)
    study.file = file
    return study


FAILED = create_trial(state=TrialState.FAIL)
INFEASIBLE = create_trial(value=1.0, system_attrs={"constraints": [1.0]})


@pytest.mark.parametrize(
    ("study", "expected"),
    [
        (made(), "minimize, 0 trials>"),
        (made(FAILED), "minimize, 1 trial (1 failed)>"),
        (
            made(FAILED, create_trial(value=0.012), file="/a/b"),
            "(1 complete, 1 failed), best 0.012 (trial 1), in /a/b>",
        ),
        (made(INFEASIBLE), "minimize, 1 trial (1 complete), none satisfies the constraints>"),
        (made(create_trial(values=[1, 2]), create_trial(values=[2, 1]), directions=2), "2 on the Pareto front>"),
    ],
)
def test_a_study_in_a_line(study, expected):
    """Name, directions, trials by state, the best value or the front, and the file; in a notebook the same."""
    assert repr(study).startswith("<SearchStudy 's': minimize") and repr(study).endswith(expected)
    for other in (copy.deepcopy(study), pickle.loads(pickle.dumps(study))):
        assert repr(other) == repr(study) and other.file == study.file
    assert study._repr_html_().startswith("<table>")


def test_it_never_raises_and_carries_no_markup():
    """Neither half made nor with a hostile name, which is escaped."""
    half = SearchStudy.__new__(SearchStudy)
    assert "SearchStudy" in repr(half) and "SearchStudy" in half._repr_html_()
    study = made(name="\x1b[31m\u202e<script>\n")
    assert repr(study).isprintable() and "<script" not in study._repr_html_()


def test_a_loaded_study_knows_its_file(tmp_path, monkeypatch):
    """By its whole path."""
    (tmp_path / "one.study").write_bytes(dump_study(made()))
    monkeypatch.chdir(tmp_path)
    assert load_study("one.study").file == str(tmp_path / "one.study")
    assert repr(load_study("one.study", trusted=True)).endswith(f"in {tmp_path}/one.study>")


@pytest.mark.parametrize(("source", "trusted"), [(5, False), (b"x", False), (None, True), ("x", "no"), ("x", 1)])
def test_loading_takes_a_path_or_a_url_and_a_flag(source, trusted):
    """Nothing is unpickled because of a word."""
    with pytest.raises(TypeError, match="must be"):
        load_study(source, trusted=trusted)
