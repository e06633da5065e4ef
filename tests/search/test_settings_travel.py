"""What the short form of a study, an enum and a dataclass are in the pods of a search."""

import flytekit as fl
import optuna
import pytest
from containers import CODE, study_of
from optuna.study import StudyDirection
from optuna.trial import TrialState

from flyteoptuna import Optimizer, suggest
from flyteoptuna.testing.engine.engine import Engine


@pytest.fixture(params=["local", "pods"])
def made(request, flows, tmp_path):
    """The study of a workflow, in this process or across processes."""
    flow = flows("flow_of_settings")
    if request.param == "local":
        return lambda name: getattr(flow, name)()
    return lambda name: study_of(Engine(tmp_path, CODE).run(getattr(flow, name))["o0"])


def test_an_enum_and_a_dataclass_are_what_the_objective_gets(made):
    """The study knows members by their names, and a given sampler and direction are the study's."""
    study = made("of_types")
    assert [t.state for t in study.trials] == [TrialState.COMPLETE] * 4
    assert study.directions == [StudyDirection.MAXIMIZE]
    assert type(study.sampler) is optuna.samplers.RandomSampler
    for trial in study.trials:
        assert set(trial.params) == {
            *("config.depth", "config.inner.rate", "config.inner.color", "color", "maybe", "colors.first"),
        }
        assert trial.params["colors.first"] == "BLUE"
        assert trial.distributions["color"] == optuna.distributions.CategoricalDistribution(("RED", "BLUE"))
        assert trial.value == trial.params["config.depth"] + trial.params["config.inner.rate"]
    assert study.trials[0].params["color"] in ("RED", "BLUE")


def test_directions_and_a_pruner_reach_the_study_of_a_callback(made):
    """They are set where the callback is decorated."""
    study = made("of_two")
    assert study.directions == [StudyDirection.MINIMIZE, StudyDirection.MAXIMIZE]
    assert type(study.pruner) is optuna.pruners.MedianPruner
    assert len(study.trials) == 2


def test_a_timeout_alone_ends_a_search(made):
    """Nothing else says how many trials there are."""
    study = made("until")
    assert {t.state for t in study.trials} == {TrialState.COMPLETE}


@fl.task
def line(x: float) -> float:
    return x


def test_a_sampler_that_is_given_stays_as_it_is():
    """Two searches with one sampler ask the same, for each has its own copy."""
    sampler = optuna.samplers.TPESampler(seed=1)
    first, second = (Optimizer(line, 2, 6, sampler=sampler)(x=suggest.float(0, 1)) for _ in range(2))
    assert [t.params for t in first.trials] == [t.params for t in second.trials]


def test_a_study_that_is_set_takes_the_place_of_the_short_form():
    """So that a search goes on with its own result."""
    optimizer = Optimizer(line, 1, 2, direction="maximize", sampler=optuna.samplers.RandomSampler(seed=1))
    optimizer(x=suggest.float(0, 1))
    optimizer.study = optimizer.study
    study = optimizer(x=suggest.float(0, 1))
    assert len(study.trials) == 4
    assert study.directions == [StudyDirection.MAXIMIZE]
