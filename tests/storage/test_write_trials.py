"""The rows of trials: written once, the same whoever wrote them before, and refused where JSON cannot hold them."""

import json
import math
import warnings
from datetime import datetime, timezone

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial
from study_files import QUICK, example, leave, members, searches, zipped

from flyteoptuna.storage.file_format import dump_study, read_study, restore_study

pytestmark = [
    pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning"),
    pytest.mark.filterwarnings("ignore:.*(out of range|not divisible)"),
]


@QUICK
@given(study=searches(), data=st.data())
def test_rows_that_were_written_before_change_no_byte(study, data):
    """A study that goes on is saved as if all of it were new, generation after generation."""
    study = restore_study(dump_study(study))
    for later in range(2):
        finished = data.draw(st.sampled_from([s for s in TrialState if s.is_finished()]))
        running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        for trial in data.draw(st.lists(st.sampled_from(running), unique_by=id)) if running else []:
            leave(data.draw, study, optuna.Trial(study, trial._trial_id), finished)
        study.ask().suggest_float(f"later {later}", 0, data.draw(st.floats(1, 2)))
        text = members(dump_study(study))["study.json"]
        study.written = None
        assert members(dump_study(study))["study.json"] == text
        study = restore_study(dump_study(study))
        assert study.written is not None


def laid_out(record):
    """The JSON of a study, each trial a line, as it is saved."""
    rows = record.pop("trials")
    head, *lines = (json.dumps(part, separators=(",", ":")) for part in (record, *rows))
    return head[:-1] + ',"trials":[\n' + ",\n".join(lines) + "\n]}"


@pytest.mark.parametrize(
    "layout", [json.dumps, laid_out, lambda r: laid_out(r).replace(',"trials":[', ', "trials": [')]
)
def test_what_others_have_written_is_saved_as_if_it_were_new(layout):
    """A file of another layout, and one whose tables hold something twice."""
    parts = members(dump_study(example()))
    record = json.loads(parts["study.json"])
    count = len(record["distributions"])
    record["distributions"] *= 2
    record["spaces"] = [[[name, index + count] for name, index in space] for space in record["spaces"]]
    restored = restore_study(zipped({**parts, "study.json": layout(record)}))
    assert members(dump_study(restored))["study.json"] == parts["study.json"]


def test_numbers_of_numpy_are_saved():
    """Values, parameters and steps that were added as numpy's numbers come back equal."""
    np = pytest.importorskip("numpy")
    study = optuna.create_study()
    distributions = {"i": IntDistribution(0, 9), "x": FloatDistribution(0, 9)}
    params = {"i": np.int64(3), "x": np.float32(0.5)}
    study.add_trial(create_trial(value=np.float32(2), params=params, distributions=distributions))
    study.add_trial(create_trial(value=np.int64(2), intermediate_values={np.int64(4): np.float16(1)}))
    assert [vars(t) for t in read_study(dump_study(study)).trials] == [vars(t) for t in study.trials]


@pytest.mark.parametrize("place", ["user_attrs", "system_attrs"])
@pytest.mark.parametrize("value", [{1, 2}, object(), 10**5000, "circular"], ids=["set", "object", "huge", "circular"])
def test_an_attribute_that_json_cannot_hold_is_named(place, value):
    """Saving tells the trial and the key."""
    study = optuna.create_study()
    if value == "circular":
        value = []
        value.append(value)
    study.add_trial(create_trial(value=1.0))
    study.add_trial(create_trial(value=1.0, **{place: {"fine": 1, "model": value}}))
    with pytest.raises(TypeError, match=rf"`trials\[1\]\.{place}\['model'\]` cannot be saved: JSON cannot hold it"):
        dump_study(study)
    study = optuna.create_study()
    study._storage.set_study_user_attr(study._study_id, "own", value)
    with pytest.raises(TypeError, match=r"`user_attrs\['own'\]`"):
        dump_study(study)


def test_a_choice_that_json_cannot_hold_is_named():
    """Saving tells the parameter whose choice would not come back as it was."""
    study = optuna.create_study()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study.ask().suggest_categorical("shape", [(1, 2), (3, 4)])
    with pytest.raises(TypeError, match=r"Each choice of parameter `shape` must be .* but got \(1, 2\), a tuple"):
        dump_study(study)


def test_a_step_that_could_not_be_read_is_not_written():
    """Saving tells the trial."""
    study = optuna.create_study()
    study.add_trial(create_trial(value=1, intermediate_values={2**63: 0.5}))
    with pytest.raises(TypeError, match=r"`trials\[0\]\.intermediate_values` cannot be saved: a step exceeds 63 bits"):
        dump_study(study)


@pytest.mark.parametrize(
    ("scalar", "plain"),
    [
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (np.array(2), 2),
        ([np.int8(1)], [1]),
    ],
)
def test_numpys_scalars_are_plain_ones_wherever_optuna_takes_them(scalar, plain):
    """Attributes of a study, of its trials, and of points that wait."""
    study = optuna.create_study()
    study.set_user_attr("kept", scalar)
    trial = study.ask()
    trial.set_user_attr("kept", {"deep": scalar})
    study.tell(trial, np.float64(1))
    study.enqueue_trial({"x": scalar}, user_attrs={"kept": scalar})
    saved = restore_study(dump_study(study))
    assert saved.user_attrs == {"kept": plain}
    assert saved.trials[0].user_attrs == {"kept": {"deep": plain}}
    assert saved.trials[1].system_attrs["fixed_params"] == {"x": plain}


@pytest.mark.parametrize("value", [np.array([1.0]), object(), {1}, b"a", 1j])
def test_what_is_no_scalar_is_refused_by_its_own_name(value):
    """Beside one that is, which is not blamed for it."""
    study = optuna.create_study()
    study.ask().set_user_attr("good", np.float32(1))
    study.ask().set_user_attr("bad", value)
    with pytest.raises(TypeError, match=r"`trials\[1\].user_attrs\['bad'\]` cannot be saved"):
        dump_study(study)


def study_of(trial, **fields):
    """A study in memory of a trial whose fields Optuna has not checked."""
    study = optuna.create_study()
    study.add_trial(trial)
    [record] = study.get_trials(deepcopy=False)
    for name, value in fields.items():
        setattr(record, name, value)
    return study


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"values": [math.nan]}, r"values` cannot be saved: the trial is COMPLETE, with NaN"),
        ({"values": [10**400]}, r"values` cannot be saved: a number exceeds floats"),
        ({"intermediate_values": {0: 10**400}}, r"intermediate_values` cannot be saved: a number exceeds floats"),
        ({"datetime_start": None}, r"cannot be saved: it is COMPLETE, without datetime_start"),
    ],
)
def test_a_trial_that_could_not_be_read_is_not_written(fields, message):
    """By Optuna's own rules; saving tells the trial."""
    with pytest.raises(TypeError, match=rf"`trials\[0\].*{message}"):
        dump_study(study_of(create_trial(value=1.0), **fields))


def test_values_that_optuna_would_not_tell_are_not_saved():
    """NaN of a pruned trial, and those of a trial that had some while it ran, and has failed."""
    study = optuna.create_study()
    study.add_trial(create_trial(state=TrialState.PRUNED, value=math.nan))
    study.add_trial(create_trial(state=TrialState.RUNNING, value=1.0))
    study.tell(1, state=TrialState.FAIL)
    assert study.trials[1].values == [1.0]
    assert [trial.values for trial in read_study(dump_study(study)).trials] == [None, None]


def test_numbers_and_times_are_saved_as_optuna_has_them():
    """Integers where floats belong, and times of any zone."""
    time = datetime(2024, 1, 1, tzinfo=timezone.utc)
    params = {"params": {"x": 1}, "distributions": {"x": FloatDistribution(0, 1)}}
    study = study_of(create_trial(value=2, intermediate_values={0: 3}, **params), datetime_start=time)
    [trial] = read_study(dump_study(study)).trials
    assert repr((trial.values, trial.intermediate_values, trial.params)) == "([2.0], {0: 3.0}, {'x': 1.0})"
    assert trial.datetime_start == time.astimezone().replace(tzinfo=None)


def test_text_that_utf8_cannot_hold_is_saved_as_its_escape():
    """As a file name of other bytes has it; a choice would be another one, and is refused."""
    study = optuna.create_study(study_name="\udcff")
    study.set_user_attr("\udcff", "\udcff")
    study.add_trial(create_trial(value=1.0, user_attrs={"path": ["\udcff", "\\udcff"]}))
    saved = read_study(dump_study(study))
    assert (saved.study_name, saved.user_attrs) == ("\\udcff", {"\\udcff": "\\udcff"})
    assert saved.trials[0].user_attrs == {"path": ["\\udcff", "\\udcff"]}
    study.ask().suggest_categorical("c", ["\udcff"])
    with pytest.raises(TypeError, match=r"Each choice of parameter `c` must be text of UTF-8, but got '\\udcff'"):
        dump_study(study)
