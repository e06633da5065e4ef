"""Plugins: their work around a call of the objective is done for each trial, and what they raise is that trial's."""

import pytest
from containers import CODE, study_of

from flyteoptuna import Optimizer, suggest
from flyteoptuna.local.worker_pool import WORKERS
from flyteoptuna.testing.engine.engine import Engine
from flyteoptuna.testing.pods.pod import PodOutcome
from flyteoptuna.trial.report import ERROR_ATTRIBUTE

WAYS = {"batches": {}, "reused": {"reuse_pods": True}}
ENDS = {
    "fine": ("COMPLETE", ""),
    "before": ("FAIL", "RuntimeError: no session"),
    "around": ("FAIL", "ValueError: no good"),
    "after": ("FAIL", "RuntimeError: no end of the session"),
    "pruned around": ("PRUNED", "in the session"),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("place", "workers"), [("pods", ""), ("here", "1"), ("processes", "2")])
def test_a_plugin_works_around_each_trial(flows, monkeypatch, tmp_path, place, workers, way):
    """Before it, around it and after it, as around a plain call; its errors, and the pruning that it wraps, too."""
    flow = flows("flow_of_plugins")
    if place == "pods":
        engine = Engine(tmp_path, CODE)
        study = study_of(engine.run(getattr(flow, way))["o0"])
        # Where a plugin may start several pods, a failure is raised: Flyte reads the errors of all of them.
        failed = len(engine.of(".trial-", PodOutcome.FAILED))
        assert failed == (4 if way == "batches" else 0)
    else:
        monkeypatch.setenv(WORKERS, workers)
        study = getattr(flow, way)()
    found = {
        t.params["how"]: (t.state.name, t.user_attrs.get(ERROR_ATTRIBUTE, "").split("\n")[0]) for t in study.trials
    }
    assert found == ENDS
    assert [t.value for t in study.trials if t.params["how"] == "fine"] == [flow.around(x=0.5, how="fine")] == [1.5]


@pytest.mark.parametrize("way", WAYS)
def test_a_decorator_that_asks_where_it_runs_asks_for_no_secret(flows, way):
    """In a local search, as in a local call; elsewhere it would, and each trial would fail."""
    study = Optimizer(flows("flow_of_plugins").followed, 2, 3, **WAYS[way])(x=suggest.float(0, 1), how="fine")
    assert [t.value for t in study.trials] == [t.params["x"] + 1.0 for t in study.trials]


@pytest.mark.parametrize("place", ["pods", "here"])
def test_what_a_plugin_begins_in_a_pod_lasts_for_the_trials_of_the_pod(flows, tmp_path, place):
    """A pod has one; a local call begins it again, as flytekit's local calls do; and where it fails, a trial fails."""
    workflow = flows("flow_of_plugins").clusters
    if place == "pods":
        outputs = Engine(tmp_path, CODE).run(workflow)
        studies = [study_of(outputs[name]) for name in ("o0", "o1")]
    else:
        studies = workflow()
    for study in studies:
        assert [t.state.name for t in study.trials] == ["FAIL", *["COMPLETE"] * 3]
        assert study.trials[0].user_attrs[ERROR_ATTRIBUTE].startswith("RuntimeError: no cluster")
        assert [t.value for t in study.trials[1:]] == [t.params["x"] + 9 for t in study.trials[1:]]
