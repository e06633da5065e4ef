"""The study: the same search as plain Optuna's, across saving and loading."""

import warnings

import optuna
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optuna.trial import TrialState
from strategies import spaces

from flyteoptuna import space, suggest
from flyteoptuna import study as studies
from flyteoptuna.trial import TrialReport

SAMPLERS = {
    "random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
    "tpe": lambda seed: optuna.samplers.TPESampler(seed=seed, n_startup_trials=3),
    "tpe-liar": lambda seed: optuna.samplers.TPESampler(
        seed=seed, n_startup_trials=3, constant_liar=True, multivariate=True
    ),
    "nsga": lambda seed: optuna.samplers.NSGAIISampler(seed=seed, population_size=4),
    "cmaes": lambda seed: optuna.samplers.CmaEsSampler(seed=seed, n_startup_trials=3),
    "qmc": lambda seed: optuna.samplers.QMCSampler(seed=seed),
}


def score(params, number):
    """A value that any parameters have; every fifth trial fails."""
    return None if number % 5 == 4 else float(len(repr(sorted(params.items()))) % 17) + number % 3


def plain(sampler, inputs, batch, generations):
    """The reference: one process, plain optuna."""
    study = optuna.create_study(sampler=sampler)
    for _ in range(generations):
        trials = []
        for _ in range(batch):
            trials.append(trial := study.ask())
            for name, value in inputs.items():
                space.materialise(value, name, lambda n, s, t=trial: studies.draw(t, n, s))
        for trial in trials:
            value = score(trial.params, trial.number)
            study.tell(trial, value, state=TrialState.FAIL if value is None else None)
    return study


def searched(sampler, inputs, batch, generations):
    """The same search, the study saved and loaded around every step."""
    study = optuna.create_study(sampler=sampler)
    for _ in range(generations):
        study = studies.loads(studies.dumps(study))
        for _ in range(batch):
            studies.ask(study, inputs)
        study = studies.loads(studies.dumps(study))
        reports = []
        for trial in studies.running(study):
            value = score(trial.params, trial.number)
            reports.append(
                TrialReport(trial.number, [], error="no") if value is None else TrialReport(trial.number, [value])
            )
        studies.tell(study, reversed(reports))
    return study


@pytest.mark.parametrize("name", SAMPLERS)
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(inputs=spaces, batch=st.integers(1, 5), seed=st.integers(0, 1000))
def test_the_search_is_plain_optunas_to_the_bit(name, inputs, batch, seed):
    """Parameters, values and states of every trial equal those of an ask-and-tell loop in one process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = plain(SAMPLERS[name](seed), inputs, batch, 4).trials
        got = searched(SAMPLERS[name](seed), inputs, batch, 4).trials
    assert [(t.params, t.values, t.state) for t in got] == [(t.params, t.values, t.state) for t in expected]


def test_saving_and_loading_is_an_identity():
    """Trials of every state come back with their parameters, times, attributes and intermediate values."""
    study = optuna.create_study(directions=["minimize", "maximize"])
    study.set_user_attr("who", {"a": [1, None]})
    for state in TrialState:
        study.add_trial(
            optuna.trial.create_trial(
                state=state,
                values=[1.5, float("inf")] if state == TrialState.COMPLETE else None,
                params={"x": 0.1, "c": None},
                distributions={
                    "x": optuna.distributions.FloatDistribution(0, 1),
                    "c": optuna.distributions.CategoricalDistribution([None, "a", 2]),
                },
                user_attrs={"k": "v"},
                intermediate_values={0: 1.0, 3: float("inf")},
            )
        )
    again = studies.loads(studies.dumps(study))
    assert [vars(t) for t in again.trials] == [vars(t) for t in study.trials]
    assert (again.directions, again.user_attrs) == (study.directions, study.user_attrs)


@pytest.mark.parametrize("data", [b"", b"nonsense", b"PK\x03\x04"])
def test_a_foreign_file_is_refused(data):
    """The message says that it is no study."""
    with pytest.raises(studies.StudyFormatError, match="Not a study file"):
        studies.loads(data)


def test_a_truncated_file_is_refused():
    """No prefix of a study file is read as one."""
    data = studies.dumps(optuna.create_study())
    for length in range(0, len(data), 37):
        with pytest.raises(studies.StudyFormatError, match="Not a study file"):
            studies.loads(data[:length])


def test_a_missing_report_fails_its_own_trial():
    """A shorter, shifted list of reports still lands on the right trials."""
    study = studies.create(4, seed=1)
    for _ in range(4):
        studies.ask(study, {"x": suggest.float(0, 1)})
    studies.tell(study, [TrialReport(3, [3.0], 5.0, 7.0), None, TrialReport(0, [0.5])])
    assert [t.values for t in study.trials] == [[0.5], None, None, [3.0]]
    assert "sent no report" in study.trials[1].user_attrs[studies.ERROR_ATTRIBUTE]
    assert study.trials[3].duration.total_seconds() == 2.0


def test_a_search_that_only_fails_quotes_its_first_cause():
    """Nine failures are borne, ten are not."""
    study = studies.create(10, seed=1)
    for count in (9, 1):
        studies.check(study, last=False)
        for _ in range(count):
            studies.ask(study, {"x": suggest.float(0, 1)})
        studies.tell(study, [TrialReport(t.number, error="out of luck") for t in studies.running(study)])
    with pytest.raises(studies.SearchFailedError, match=r"first 10 trials failed(.|\n)*out of luck"):
        studies.check(study, last=False)
