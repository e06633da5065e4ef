"""A search of four trials in two generations, as its study stands while it runs."""

import optuna
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState, create_trial

from flyteoptuna.study import system_attrs
from flyteoptuna.trial import marks
from flyteoptuna.trial.report import ERROR_ATTRIBUTE

SPACE = {"x": FloatDistribution(0, 9)}
N_TRIALS = 4


def study_at(states, name="watched", **mark):
    """The study of the search when its trials had these states: c(omplete), f(ailed), r(unning)."""
    study = optuna.create_study(study_name=name)
    system_attrs.store_search_mark(study, N_TRIALS, 2)
    for number, letter in enumerate(states):
        state = {"c": TrialState.COMPLETE, "f": TrialState.FAIL, "r": TrialState.RUNNING}[letter]
        study.add_trial(
            create_trial(
                state=state,
                value=9.0 - number if letter == "c" else None,
                params={"x": float(number)},
                distributions=SPACE,
                user_attrs={ERROR_ATTRIBUTE: "ValueError: too high"} if letter == "f" else {},
                system_attrs={
                    marks.TRIAL_ATTRIBUTE: marks.TrialMark(search=1, generation=number // 2, **mark).to_attribute()
                },
            )
        )
    return study
