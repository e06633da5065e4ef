"""The study of a search: the same search as plain Optuna's, to the bit."""

import warnings

import optuna
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optuna.trial import TrialState
from searches import SAMPLERS, flat, reloaded, report_of, score

from flyteoptuna import suggest
from flyteoptuna.space import space
from flyteoptuna.study import system_attrs
from flyteoptuna.study.ask import ask_trial, draw_value
from flyteoptuna.study.tell import tell_trials
from flyteoptuna.testing.strategies import spaces
from flyteoptuna.trial import marks

GRID = {"a": suggest.category(["p", "q", "r"]), "b": suggest.integer(0, 3), "c": suggest.float(0, 1, step=0.5)}
DISCRETE = ("brute-force", "grid")


def branched(inputs):
    """A conditional space: which inputs are drawn depends on one that was drawn before."""

    def build(trial):
        depth = trial.suggest_int("depth", 0, len(inputs))
        return [
            space.substitute_suggestions(value, name, lambda n, s: draw_value(trial, n, s))
            for name, value in list(inputs.items())[:depth]
        ]

    return build


def plain(sampler, build, batch, generations):
    """The reference: one process, plain optuna."""
    study = optuna.create_study(sampler=sampler)
    study.stop = lambda: None
    for _ in range(generations):
        trials = []
        for _ in range(batch):
            trials.append(trial := study.ask())
            build(trial)
        for trial in trials:
            value, state = score(trial.params, trial.number)
            if state == TrialState.PRUNED:
                trial.report(0.5, 3)
            study.tell(trial, value, state=state)
    return study


def searched(sampler, build, batch, generations):
    """The same search, the study saved and loaded around every step."""
    study = optuna.create_study(sampler=sampler)
    system_attrs.store_search_mark(study)
    for generation in range(generations):
        study = reloaded(study)
        for _ in range(batch):
            ask_trial(study, generation, build)
        study = reloaded(study)
        tell_trials(study, [report_of(t) for t in reversed(system_attrs.search_trials(study, TrialState.RUNNING))])
    return study


def comparable(study, name):
    # CMA-ES keeps its state as a pickle, which differs in bytes from run to run.
    ours = (marks.TRIAL_ATTRIBUTE, *(["cma:"] if name == "cmaes" else []))
    return [
        (
            t.params,
            t.distributions,
            t.values,
            t.state,
            t.intermediate_values,
            {k: v for k, v in t.system_attrs.items() if not k.startswith(ours)},
        )
        for t in study.trials
    ]


@pytest.mark.parametrize("name", SAMPLERS)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(inputs=spaces(), batch=st.integers(1, 5), seed=st.integers(0, 1000), conditional=st.booleans())
def test_the_search_is_plain_optunas_to_the_bit(name, inputs, batch, seed, conditional):
    """Parameters, values, states and the sampler's attributes equal those of an ask-and-tell loop in one process."""
    if name in DISCRETE:
        inputs, conditional = GRID, False
    build = branched(inputs) if conditional else flat(inputs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = comparable(plain(SAMPLERS[name](seed), build, batch, 4), name)
        got = comparable(searched(SAMPLERS[name](seed), build, batch, 4), name)
    assert got == expected
