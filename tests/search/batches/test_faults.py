"""Searches across processes that lose pods and outputs."""

import pytest
from containers import CODE, number_of, results, run, study_of
from optuna.trial import TrialState

from flyteoptuna.testing.engine.engine import Engine
from flyteoptuna.testing.engine.scopes import ExecutionFailedError
from flyteoptuna.testing.pods.pod import Fault, PodOutcome
from flyteoptuna.trial.report import ERROR_ATTRIBUTE


@pytest.mark.parametrize("fault", [Fault.KILL, Fault.LOSE])
def test_a_pod_killed_at_any_position_is_retried_to_the_same_study(tmp_path, flows, undisturbed, fault):
    """Before its work or after it, driver or trial: the next attempt asks the very same parameters."""
    expected, pods = undisturbed
    assert len(pods) == 7
    for position, victim in enumerate(pods):
        study, engine = run(
            flows,
            tmp_path / str(position),
            "plain",
            faults=lambda p, v=victim: fault if p.attempt == 0 and (p.task, p.path, p.index) == v else None,
            system_retries=1,
        )
        assert results(study) == expected
        assert len(engine.pods) == 8


@pytest.mark.parametrize("role", [".ask-", ".finish-", ".search-"])
def test_a_recovered_execution_runs_no_finished_generation_again(tmp_path, flows, undisturbed, role):
    """What had finished is taken over, and the study is that of an undisturbed search."""
    expected, _ = undisturbed
    flow = flows("flow_of_faults")
    seen = []

    def faults(pod):
        if role in pod.task:
            seen.append(pod)
            return Fault.KILL
        return None

    first = Engine(tmp_path / "first", CODE, faults=faults)
    with pytest.raises(ExecutionFailedError):
        first.run(flow.plain)
    second = Engine(tmp_path / "second", CODE)
    study = study_of(second.recover(flow.plain, of=first)["o0"])
    assert results(study) == expected
    done = {number_of(p) for p in first.of(".trial-", PodOutcome.SUCCEEDED)}
    again = {number_of(p) for p in second.of(".trial-")}
    assert done | again == set(range(4))
    assert not done & again


def test_a_repeated_point_is_taken_from_the_cache_and_a_failure_is_not(tmp_path, flows):
    """Within a search and across searches, each value lands on its own trial, and each failure has its own reason."""
    first, engine = run(flows, tmp_path / "first", "with_cache")
    assert {t.params["point"] for t in first.trials} == {0, 1, 2, 3}
    hits = len(engine.hits)
    assert hits
    second, again = run(flows, tmp_path / "second", "with_cache", {"n_trials": 12}, cache=engine.cache)
    failing = [t for t in second.trials if t.params["point"] == 2]
    assert len([p for p in again.pods if ".trial-" in p.task and p.outcome != PodOutcome.HIT]) == len(failing)
    for trial in (*first.trials, *second.trials):
        if trial.params["point"] == 2:
            assert trial.state == TrialState.FAIL
            assert f"2 is bad luck for {trial.number}" in trial.user_attrs[ERROR_ATTRIBUTE]
        else:
            assert trial.value == trial.params["point"] * 0.5


@pytest.mark.parametrize("fault", [Fault.DROP, Fault.NULL])
def test_a_list_that_shifts_moves_no_value_to_another_trial(tmp_path, flows, fault):
    """The first element of each batch is lost, and its own trial fails."""
    study, _ = run(flows, tmp_path, "plain", faults=lambda p: fault if ".trial-" in p.task and p.index == 0 else None)
    assert [t.state.name for t in study.trials] == ["FAIL", "COMPLETE"] * 2
    assert all(t.value == t.params["x"] for t in study.trials if t.state == TrialState.COMPLETE)
