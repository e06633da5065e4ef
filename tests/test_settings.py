"""The objective's settings hold for its trials: its protobuf and that of its trials are the same but for the work."""

from datetime import timedelta

import flytekit as fl
import pytest
from engine.engine import SETTINGS
from flytekit.core.pod_template import PodTemplate
from flytekit.tools.translator import get_serializable
from kubernetes.client import V1Container, V1PodSpec

from flyteoptuna.trials import STUDY, TRIAL, map_task, trial_task

SHARED = {
    "retries": 3,
    "timeout": timedelta(minutes=5),
    "interruptible": True,
    "requests": fl.Resources(cpu="2", mem="3Gi"),
    "limits": fl.Resources(cpu="4", gpu="1"),
    "secret_requests": [fl.Secret(group="group", key="key")],
    "environment": {"COLOUR": "blue"},
    "container_image": "registry/special:1",
}


@fl.task(**SHARED, cache=True, cache_version="7", cache_serialize=True, cache_ignore_input_vars=("y",))
def contained(x: float, y: float = 0.0) -> float:
    return x


@fl.task(
    retries=1,
    pod_template=PodTemplate(
        primary_container_name="primary",
        labels={"team": "red"},
        pod_spec=V1PodSpec(containers=[V1Container(name="primary")], node_selector={"disk": "fast"}),
    ),
)
async def podded(x: float, y: float = 0.0) -> float:
    return x


def template(task):
    return get_serializable({}, SETTINGS, task).to_flyte_idl().template


def stripped(task):
    """A template without what a trial has of its own: name, interface, arguments, and its mark on the cache."""
    part = template(task)
    part.ClearField("id")
    part.ClearField("interface")
    part.ClearField("task_type_version")
    del part.container.args[:]
    if part.HasField("k8s_pod"):
        del part.k8s_pod.pod_spec["containers"]
    part.metadata.discovery_version = part.metadata.discovery_version.removesuffix("-report1")
    for name in (TRIAL, STUDY):
        if name in part.metadata.cache_ignore_input_vars:
            part.metadata.cache_ignore_input_vars.remove(name)
    return part


@pytest.mark.parametrize("objective", [contained, podded])
def test_a_trial_runs_with_the_settings_of_its_objective(objective):
    """Image, resources, secrets, environment, retries, timeout, cache, pod template."""
    trial = trial_task(objective, ("x",), ("y",))
    mapped = map_task(trial, ("y",), 3)
    assert stripped(objective) == stripped(trial) == stripped(mapped)
    assert mapped.concurrency == 3
    assert mapped.sub_node_metadata.retries.retries == objective.metadata.retries
    metadata = template(trial).metadata
    if objective is contained:
        assert metadata.discovery_version == "7-report1"
        assert list(metadata.cache_ignore_input_vars) == ["y", TRIAL, STUDY]
