"""What a trial's pod decides by the study that its batch was asked from, and what drivers derive from their place."""

from types import SimpleNamespace

import optuna
import pytest
from flytekit.core.context_manager import ExecutionState, FlyteContextManager

from flyteoptuna.core.active_trial import ActiveTrial
from flyteoptuna.flyte.references import refer
from flyteoptuna.search import driver
from flyteoptuna.search.trial_task import Decision

PRUNERS = {
    "median": lambda: optuna.pruners.MedianPruner(n_startup_trials=2),
    "percentile": lambda: optuna.pruners.PercentilePruner(25.0, n_startup_trials=2),
    "halving": lambda: optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=2),
    "hyperband": lambda: optuna.pruners.HyperbandPruner(min_resource=1, max_resource=9, reduction_factor=2),
    "patient": lambda: optuna.pruners.PatientPruner(optuna.pruners.MedianPruner(n_startup_trials=2), patience=1),
    "threshold": lambda: optuna.pruners.ThresholdPruner(upper=0.7),
    "wilcoxon": lambda: optuna.pruners.WilcoxonPruner(p_threshold=0.4),
}


def asked(name):
    """A study with eight trials that have ended and four that run."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1), pruner=PRUNERS[name](), study_name="s")
    for _ in range(8):
        trial = study.ask()
        x = trial.suggest_float("x", 0, 1)
        for step in range(8):
            trial.report(x + 0.01 * step * x, step)
            trial.should_prune()
        study.tell(trial, x)
    return study, [study.ask() for _ in range(4)]


@pytest.mark.parametrize("name", PRUNERS)
def test_a_pruner_decides_as_in_one_process(name):
    """Step by step, for better and worse trials; those of the batch are not seen, for they are in other pods."""
    snapshot = refer(asked(name)[0], optuna.Study)
    decisions = []
    for position, x in enumerate((0.0, 0.4, 0.8, 1.2)):
        trial = asked(name)[1][position]
        active = ActiveTrial(trial.number, decide=Decision(snapshot))
        for step in range(8):
            for each in (trial, active):
                each.report(x + 0.05 * step, step)
            decisions.append(trial.should_prune())
            assert active.should_prune() == decisions[-1]
        kept = trial.study.trials[trial.number].system_attrs
        assert active.system_attrs == {k: v for k, v in kept.items() if k != "flyteoptuna:trial"}
    assert set(decisions) == {True, False}


def test_a_seed_is_that_of_the_node_whatever_the_attempt(monkeypatch):
    """So that a retried driver makes the same study, and another node another."""

    def at(prefix):
        mode = ExecutionState.Mode.TASK_EXECUTION
        state = SimpleNamespace(is_local_execution=lambda: False, mode=mode)
        params = SimpleNamespace(output_metadata_prefix=prefix)
        ctx = SimpleNamespace(execution_state=state, user_space_params=params)
        monkeypatch.setattr(FlyteContextManager, "current_context", lambda: ctx)
        return driver.seed()

    first = at("s3://bucket/metadata/p-d-a1/n0/data/0")
    assert first == at("s3://bucket/metadata/p-d-a1/n0/data/1")
    assert first != at("s3://bucket/metadata/p-d-a1/n1/data/0")
    assert first != at("s3://bucket/metadata/p-d-a2/n0/data/0")
