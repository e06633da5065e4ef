"""The objective's settings hold for its trials: its protobuf and that of its trials are the same but for the work."""

import dataclasses
from datetime import timedelta

import flytekit as fl
import pytest
from engine.engine import SETTINGS
from flytekit.configuration import FastSerializationSettings
from flytekit.core.context_manager import ExecutionState, FlyteContextManager
from flytekit.core.pod_template import PodTemplate
from flytekit.tools.translator import get_serializable
from kubernetes.client import V1Container, V1PodSpec

from flyteoptuna import suggest
from flyteoptuna.core import plan, space
from flyteoptuna.core.report import TrialReport
from flyteoptuna.flyte.objective import STUDY, TRIAL
from flyteoptuna.flyte.references import refer
from flyteoptuna.search import driver, graph
from flyteoptuna.search.trial_task import map_task, trial_task

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


@fl.task
def line(x: float) -> float:
    return x


def test_fast_registration_reaches_every_task_of_a_search():
    """Code that `pyflyte run --remote` copies is there in the drivers, and in the pods that a driver emits."""
    copied = FastSerializationSettings(enabled=True, destination_dir="/root", distribution_location="s3://bucket/code")
    fast = dataclasses.replace(SETTINGS, fast_serialization_settings=copied)
    search = graph.search_of(line, ("x",), (), False, ("minimize",))
    made = [get_serializable({}, fast, task).to_flyte_idl().template for task in (search.search, search.finish)]
    ctx = FlyteContextManager.current_context()
    state = ctx.new_execution_state().with_params(mode=ExecutionState.Mode.TASK_EXECUTION)
    with FlyteContextManager.with_context(ctx.with_serialization_settings(fast).with_execution_state(state)):
        settings = plan.Settings(20, 2, 2, space=space.dumps({"x": suggest.float(0, 1)}))
        study = driver.begin(None, settings, ("minimize",), "")
        given = {"study": study, "reports": refer([], list[TrialReport]), "done": False, "settings": settings.dumps()}
        for job in (search.span.execute(start=0, stop=10, **given), search.generation.execute(index=0, **given)):
            made += [task.to_flyte_idl() for task in job.tasks]
    roles = {template.id.name.split(".")[-1].split("-")[0] for template in made}
    assert roles == {
        *("search", "span", "generation", "finish", "trial"),
    }
    for template in made:
        assert list(template.container.args[:3]) == [
            "pyflyte-fast-execute",
            "--additional-distribution",
            "s3://bucket/code",
        ]
