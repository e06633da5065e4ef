"""Asking a trial: its inputs, whatever becomes of them."""

import re

import optuna
import pytest
from optuna.trial import TrialState
from searches import SAMPLERS, asked, begun, flat, reloaded, report_of

from flyteoptuna import suggest
from flyteoptuna.study import stopping, system_attrs
from flyteoptuna.study.ask import ask_trial
from flyteoptuna.study.tell import tell_trials
from flyteoptuna.trial.report import ERROR_ATTRIBUTE, TrialReport


def test_enqueued_points_are_asked_first():
    """They keep the numbers that they were given, and count as trials of the search."""
    study = optuna.create_study()
    study.enqueue_trial({"x": 0.25})
    system_attrs.store_search_mark(study)
    assert [a.params["x"] == 0.25 for a in asked(study, 2)] == [True, False]
    assert tell_trials(study, []) == 2


def test_inputs_that_cannot_be_made_end_their_own_trial():
    """A callback that raises is a failure, one that prunes is pruned, and the others are run."""
    study = begun()

    def build(trial):
        trial.suggest_float("x", 0, 1)
        if trial.number == 0:
            raise ValueError("bad luck")
        if trial.number == 1:
            raise optuna.TrialPruned("no use")
        return {}

    made = asked(study, 3, build)
    assert [a.inputs for a in made] == [None, None, {}]
    study = reloaded(study)
    tell_trials(study, [TrialReport(2, state="COMPLETE", values=[1.0])])
    assert [t.state.name for t in study.trials] == ["FAIL", "PRUNED", "COMPLETE"]
    assert study.trials[0].user_attrs[ERROR_ATTRIBUTE].startswith("ValueError: bad luck")


@pytest.mark.parametrize("sampler", ["tpe-5", "tpe-4", "random"])
def test_no_point_is_asked_twice_until_the_space_is_exhausted(sampler):
    """A discrete space of 12 points gives 12 different trials, in batches, and no more."""
    study = optuna.create_study(sampler=SAMPLERS[sampler](1))
    system_attrs.store_search_mark(study)
    inputs = {"a": suggest.category(["p", "q", "r"]), "b": suggest.integer(0, 3)}
    while not stopping.is_exhausted(study, inputs):
        study = reloaded(study)
        for _ in range(5):
            if not stopping.is_exhausted(study, inputs):
                ask_trial(study, 0, flat(inputs), fresh=True)
        tell_trials(study, [report_of(t) for t in system_attrs.search_trials(study, TrialState.RUNNING)])
    assert len({tuple(sorted(t.params.items())) for t in study.trials}) == len(study.trials) == 12


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda trial: trial.set_user_attr("model", object()), r"`user_attrs\['model'\]` of trial 0 cannot be saved"),
        (lambda trial: trial.suggest_categorical("shape", [(1, 2)]), "Each choice of parameter `shape` must be"),
    ],
)
def test_a_trial_that_cannot_be_saved_fails_itself(spoil, message):
    """What cannot be saved is taken out, so that the study can be, and the others are asked."""
    study = begun(2)
    made = [ask_trial(study, 0, spoil), *asked(study, 1)]
    assert [a.inputs is None for a in made] == [True, False]
    study = reloaded(study)
    tell_trials(study, [TrialReport(1, state="COMPLETE", values=[1.0])])
    assert [t.state.name for t in study.trials] == ["FAIL", "COMPLETE"]
    assert re.search(message, study.trials[0].user_attrs[ERROR_ATTRIBUTE])
