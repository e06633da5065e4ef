"""Telling a batch: each report to its own trial, and callbacks in order."""

import json

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import TrialState
from searches import asked, begun

from flyteoptuna.study import stopping, system_attrs
from flyteoptuna.study.ask import ask_trial
from flyteoptuna.study.samplers import create_default_study
from flyteoptuna.study.tell import tell_trials
from flyteoptuna.trial.report import ERROR_ATTRIBUTE, TrialReport


def test_a_missing_report_fails_its_own_trial():
    """A shorter, shifted list of reports still lands on the right trials, with their own times."""
    study = begun()
    asked(study, 4)
    complete = {"state": "COMPLETE"}
    tell_trials(
        study,
        [TrialReport(3, values=[3.0], start=5.0, end=7.0, **complete), None, TrialReport(0, values=[0.5], **complete)],
    )
    assert [t.values for t in study.trials] == [[0.5], None, None, [3.0]]
    assert "Trial 1 (generation 0) sent no report" in study.trials[1].user_attrs[ERROR_ATTRIBUTE]
    assert study.trials[3].duration.total_seconds() == 2.0


@given(
    st.lists(
        st.builds(
            TrialReport,
            trial=st.integers(-1, 6),
            key=st.sampled_from(["", "k"]),
            state=st.sampled_from(["COMPLETE", "PRUNED", "FAIL"]),
            values=st.lists(st.floats(), max_size=3),
            error=st.text(max_size=5),
        )
        | st.none(),
        max_size=8,
    )
)
@settings(deadline=None)
def test_telling_is_total(reports):
    """No report, however wrong, leaves a trial running or raises."""
    study = begun()
    asked(study, 5)
    assert tell_trials(study, reports) == 5
    assert all(t.state.is_finished() for t in study.trials)


def test_attributes_constraints_and_intermediate_values_come_back():
    """A constraint function sees the attributes that the objective has set, when the trial is told."""
    seen = []
    sampler = optuna.samplers.NSGAIISampler(constraints_func=lambda t: seen.append(dict(t.user_attrs)) or [1.0])
    study = optuna.create_study(sampler=sampler)
    system_attrs.store_search_mark(study)
    asked(study, 1)
    attrs, constraints = json.dumps({"loss": [1, 2]}), json.dumps({"constraints:size": 2.0})
    tell_trials(
        study,
        [
            TrialReport(
                0,
                state="COMPLETE",
                values=[1.0],
                user_attrs=attrs,
                system_attrs=constraints,
                steps=[2],
                intermediate=[0.5],
            )
        ],
    )
    trial = study.trials[0]
    assert trial.user_attrs == seen[0] == {"loss": [1, 2]}
    assert trial.intermediate_values == {2: 0.5}
    assert trial.system_attrs["constraints"] == (1.0,) or "constraints" in trial.system_attrs
    if hasattr(trial, "constraints"):
        assert trial.system_attrs["constraints:size"] == 2.0


def test_callbacks_run_after_each_tell_in_trial_order_and_may_stop():
    """They get the study and the finished trial; optuna's own work."""
    study, seen = begun(), []
    asked(study, 3)
    callbacks = [lambda s, t: seen.append((s is study, t.number, t.state)), optuna.study.MaxTrialsCallback(2)]
    tell_trials(study, [TrialReport(n, state="COMPLETE", values=[1.0]) for n in (2, 1, 0)], callbacks)
    assert seen == [(True, n, TrialState.COMPLETE) for n in range(3)]
    assert stopping.stop_or_timeout_reason(study) == "stopped"


def test_an_attribute_of_a_callback_that_cannot_be_saved_is_an_error_when_it_is_told():
    """The attribute is named."""
    study = create_default_study(1, 0)
    system_attrs.store_search_mark(study)
    ask_trial(study, 0, lambda trial: trial.suggest_float("x", 0, 1))
    with pytest.raises(TypeError, match=r"`user_attrs\['model'\]` of the study cannot be saved"):
        tell_trials(study, [], [lambda study, trial: study.set_user_attr("model", object())])


def test_what_has_run_is_told_when_a_callback_raises():
    """The callback's error ends the search, and the trials after that one are told without callbacks."""
    study = begun(4)
    numbers = [a.number for a in asked(study, 4)]

    def fail(study, trial):
        raise KeyError(trial.number)

    reports = [TrialReport(n, state="COMPLETE", values=[float(n)]) for n in numbers]
    with pytest.raises(KeyError, match="0"):
        tell_trials(study, reports, [fail])
    assert [t.value for t in study.trials] == [0.0, 1.0, 2.0, 3.0]


def test_callbacks_see_the_attributes_that_a_file_would_hold():
    """What they leave with the study is what JSON makes of it, in a local run too."""
    study = begun(2)
    numbers = [a.number for a in asked(study, 2)]
    seen = []

    def count(study, trial):
        seen.append(study.user_attrs.get("counts"))
        study.set_user_attr("counts", {1: (trial.number,)})

    tell_trials(study, [TrialReport(n, state="COMPLETE", values=[1.0]) for n in numbers], [count])
    assert seen == [None, {"1": [0]}]
