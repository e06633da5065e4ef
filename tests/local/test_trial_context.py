"""Flytekit's context in the trials of local searches: that of a plain local call of the task."""

import json
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
from flytekit.core.context_manager import FlyteContextManager
from flytekit.core.data_persistence import FileAccessProvider
from flytekit.models.core.identifier import WorkflowExecutionIdentifier

from flyteoptuna import Optimizer, outputs, suggest
from flyteoptuna.local.worker_pool import WORKERS

X = suggest.float(0, 1)
WAYS = {"batches": {}, "reused": {"reuse_pods": True}}


@contextmanager
def own_context(folder):
    """A context with another prefix, another identity, and what a plugin has added."""
    ctx = FlyteContextManager.current_context()
    params = ctx.user_space_params.builder().add_attr("ADDED", [1, 2])
    params.execution_id = WorkflowExecutionIdentifier("project", "domain", "execution")
    params.raw_output_prefix = str(folder)
    access = FileAccessProvider("/tmp/flyte-own/sandbox", str(folder))
    state = ctx.execution_state.with_params(user_space_params=params.build())
    with FlyteContextManager.with_context(ctx.with_execution_state(state).with_file_access(access)):
        yield


@pytest.mark.parametrize(
    ("where", "way", "workers"),
    [
        *[(where, way, workers) for where in ("plain", "own") for way in WAYS for workers in ("1", "2")],
        ("workflow", "batches", "2"),
        ("workflow", "reused", "1"),
    ],
)
def test_a_trial_sees_what_a_plain_call_of_its_task_sees(flows, monkeypatch, tmp_path, where, way, workers):
    """Each attribute of the context, its state, its parameters and the environment; a new one of flytekit's too."""
    monkeypatch.setenv(WORKERS, workers)
    flow = flows("flow_of_contexts")
    with own_context(tmp_path) if where == "own" else nullcontext():
        plain = json.loads(flow.looking(x=1.0))
        if where == "workflow":
            study = getattr(flow, way)()[1]
        else:
            study = Optimizer(flow.looking_trial, 2, 3, **WAYS[way])(x=X)
    assert [t.state.name for t in study.trials] == ["COMPLETE"] * 3
    assert [json.loads(t.user_attrs["seen"]) for t in study.trials] == [plain] * 3
    assert plain["state.local"] == "True"
    assert ("execution" in plain["params.execution_id"]) == (where == "own")


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("way", WAYS)
def test_outputs_of_trials_are_below_the_prefix_of_the_caller(flows, monkeypatch, tmp_path, way, workers):
    """Where a search runs in a pod, all else is lost with the pod."""
    monkeypatch.setenv(WORKERS, workers)
    with own_context(tmp_path):
        study = Optimizer(flows("flow_of_contexts").storing, 2, 4, **WAYS[way])(x=X)
        files = [outputs(study, number).o1 for number in range(4)]
        assert [float(Path(file).read_text()) for file in files] == [t.params["x"] for t in study.trials]
    assert all(str(file.path).startswith(str(tmp_path)) for file in files)
