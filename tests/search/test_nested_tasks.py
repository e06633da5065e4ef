"""What an objective calls itself runs in its process, and gives it values."""

import pytest
from containers import CODE, study_of

from flyteoptuna.local.worker_pool import WORKERS
from flyteoptuna.testing.engine.engine import Engine

VALUES = {
    "a task": 2.0,
    "by position": 1.0,
    "an async task": 1.0,
    "a task of a task": 2.0,
    "a tuple": 0.5,
    "nothing": 1.0,
    "a workflow": 2.0,
    "a dynamic": 1.0,
    "a map": 2.0,
    "a launch plan": 2.0,
    "a search": 2.5,
}


@pytest.mark.parametrize("where", ["1", "2", "pods"])
def test_what_an_objective_calls_gives_it_values(flows, monkeypatch, tmp_path, where):
    """In the calling process, in workers, and in pods alike."""
    flow = flows("flow_of_nesting")
    if where == "pods":
        study = study_of(Engine(tmp_path, CODE).run(flow.calls, {})["o0"])
    else:
        monkeypatch.setenv(WORKERS, where)
        study = flow.calls()
    assert {t.params["call"]: t.value for t in study.trials} == VALUES
