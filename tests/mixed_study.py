"""A study with trials of every state, as people store and look at them."""

from datetime import datetime, timedelta

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from flyteoptuna.trial.report import ERROR_ATTRIBUTE

SPACE = {
    "x": FloatDistribution(-1, 1),
    "rate": FloatDistribution(1e-5, 1, log=True),
    "n.layers": IntDistribution(1, 9),
    "kind": CategoricalDistribution(["tree", None, 3, True]),
}


def mixed(directions=("minimize",), n_trials=12):
    """A study with trials of every state, awkward numbers and all kinds of attributes."""
    study = optuna.create_study(directions=list(directions), study_name="mixed")
    study.set_user_attr("note", {"by": ["me", 1]})
    start = datetime(2026, 1, 2, 3, 4, 5, 678901)
    for i in range(n_trials):
        state = [TrialState.COMPLETE, TrialState.FAIL, TrialState.PRUNED, TrialState.COMPLETE][i % 4]
        params = {
            "x": 1 / (i + 3),
            "rate": 1e-5 * (i + 1),
            "n.layers": 1 + i % 9,
            "kind": ["tree", None, 3, True][i % 4],
        }
        complete = state == TrialState.COMPLETE
        trial = create_trial(
            state=state,
            values=[0.1 * i / (k + 3) for k in range(len(directions))] if complete else None,
            params=params,
            distributions=SPACE,
            user_attrs={"path": f"s3://{i}", "many": [1, {"a": None}], **_error(i, state)},
            system_attrs={"mark": {"generation": i // 3}},
            intermediate_values={0: 0.5, 3: 1 / 3} if i % 2 else {},
        )
        trial.datetime_start, trial.datetime_complete = start, start + timedelta(seconds=61.5 * i)
        study.add_trial(trial)
    study.ask()
    study.enqueue_trial({"x": 0.25})
    return study


def _error(i, state):
    failed = state == TrialState.FAIL
    return {ERROR_ATTRIBUTE: f"ValueError: trial {i} [bold]\x1b[31m is bad\n\nTraceback"} if failed else {}
