"""The pruning callbacks of optuna-integration take the running trial for optuna's own."""

import pytest
from containers import results
from optuna.trial import TrialState

from flyteoptuna import Optimizer, suggest
from flyteoptuna.errors import SearchFailedError


def curves(study):
    return [(result, t.intermediate_values) for result, t in zip(results(study), study.trials, strict=True)]


@pytest.mark.parametrize("library", ["lightgbm", "xgboost"])
def test_boosted_trees_are_pruned_as_by_optuna(flows, library):
    """One trial at a time equals optuna's own loop, with the same callback: what was pruned, and when."""
    flow = flows("flow_of_boosting")
    task, error = flow.ERRORS[library]

    def objective(trial):
        return error(trial, trial.suggest_float("rate", 1e-3, 1, log=True), trial.suggest_int("leaves", 2, 16))

    expected = flow.to_prune()
    expected.optimize(objective, 12)
    space = {"rate": suggest.float(1e-3, 1, log=True), "leaves": suggest.integer(2, 16)}
    assert curves(Optimizer(task, 1, 12, study=flow.to_prune())(**space)) == curves(expected)
    assert {t.state for t in expected.trials} == {TrialState.COMPLETE, TrialState.PRUNED}


def test_a_metric_of_the_other_direction_fails_its_trials(flows):
    """The callback asks the trial's study for its direction, and says what is wrong."""
    search = Optimizer(flows("flow_of_boosting").lightgbm, 1, 2, direction="maximize")
    with pytest.raises(SearchFailedError, match="inconsistent with the objective values in terms of study directions"):
        search(rate=suggest.float(1e-3, 1), leaves=4)
