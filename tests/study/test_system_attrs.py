"""Which trials are a search's own."""

import optuna
from searches import asked

from flyteoptuna.study import system_attrs
from flyteoptuna.study.tell import tell_trials


def test_trials_of_others_are_left_alone():
    """A search tells only what it has asked: not what another process runs, nor what was there before."""
    study = optuna.create_study()
    study.ask()
    study.add_trial(optuna.trial.create_trial(value=1.0))
    system_attrs.store_search_mark(study)
    asked(study, 2)
    tell_trials(study, [])
    assert [t.state.name for t in study.trials] == ["RUNNING", "COMPLETE", "FAIL", "FAIL"]
