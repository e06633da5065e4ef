"""Plugins that call an objective's function in several processes, its ranks: all that happens there is the trial's."""

import pytest
from containers import CODE, study_of

from flyteoptuna.local.worker_pool import WORKERS
from flyteoptuna.testing.engine.engine import Engine
from flyteoptuna.trial.report import ERROR_ATTRIBUTE

STATES = {
    "all is well": ("COMPLETE", ""),
    "all prune": ("PRUNED", "by rank "),
    "rank 0 raises": ("FAIL", "ValueError: no good in rank 0"),
    "rank 1 raises": ("FAIL", "ValueError: no good in rank 1"),
    "rank 0 prunes, then rank 1 raises": ("PRUNED", "by rank 0"),
    "rank 1 raises, then rank 0 prunes": ("FAIL", "ValueError: no good in rank 1"),
    "rank 1 is killed": ("FAIL", "RankError: rank 1 has failed without a word"),
    "rank 1 exits": ("FAIL", "RankError: rank 1 has failed without a word"),
    "rank 1 recovers": ("COMPLETE", ""),
    "the plugin raises": ("FAIL", "RankError: no ranks"),
    "outputs are ignored": ("FAIL", "IgnoreOutputs: another pod has them"),
}
# In a local search in batches, which retries nothing.
UNRETRIED = ("FAIL", "FlyteRecoverableException: USER:Recoverable: error=once more")
# In a pod, where Flyte looks for the outputs of another one: in batches, and with reused pods.
IGNORED = ("sent no report", "The pod of worker ")
PLACES = {"pods": None, "here": "1", "processes": "2"}


# A process that is spawned takes a second to start.
CASES = [
    *[(place, name) for place in PLACES for name in ("forks", "forks_reused")],
    ("here", "spawns"),
    ("pods", "spawns_reused"),
]


@pytest.mark.parametrize(("place", "name"), CASES)
def test_a_rank_fails_its_trial_and_no_other(flows, monkeypatch, tmp_path, place, name):
    """A rank's exception, pruning or death, and the plugin's own errors; what ranks record is the trial's."""
    workflow = getattr(flows("flow_of_ranks"), name)
    if place == "pods":
        engine = Engine(tmp_path / "engine", CODE)
        study = study_of(engine.run(workflow, {"folder": str(tmp_path)})["o0"])
    else:
        monkeypatch.setenv(WORKERS, PLACES[place])
        study = workflow(folder=str(tmp_path))
    trials = {trial.params["how"]: trial for trial in study.trials}
    for how, trial in trials.items():
        state, reason = STATES[how]
        if how == "rank 1 recovers" and not (place == "pods" or "reused" in name):
            state, reason = UNRETRIED
        if how == "outputs are ignored" and place == "pods":
            reason = IGNORED["reused" in name]
        assert trial.state.name == state, how
        assert reason in trial.user_attrs.get(ERROR_ATTRIBUTE, ""), how
    well = trials["all is well"]
    assert well.value == 0.5
    assert well.intermediate_values == {0: 0.0, 1: 5.0}
    assert well.user_attrs == {"rank": 0, "only": well.number}
    assert trials["rank 1 raises"].intermediate_values == {0: 0.0}
    assert trials["all prune"].intermediate_values == {0: 100.0}
