"""Pods: their processes, the faults that they meet, and their retries."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from containers import CODE
from engine_values import integers, on, results
from flyteidl.core import tasks_pb2

from flyteoptuna.testing.engine.engine import Engine
from flyteoptuna.testing.engine.scopes import ExecutionFailedError
from flyteoptuna.testing.pods.pod import Fault, PodOutcome, container_command
from flyteoptuna.testing.pods.processes import SERVER_SCRIPT


@pytest.mark.parametrize("cold", [False, True])
def test_a_pod_is_a_fresh_process_with_its_own_folder_and_environment(flows, tmp_path, cold):
    """Warm or cold, a pod imports the user's module anew, sees Flyte's variables and nothing of the test."""
    engine = Engine(tmp_path, CODE, cold=cold)
    one, two = results(engine.run(flows.inspected))
    assert one["calls"] == two["calls"] == "1"
    assert one["random"] != two["random"]
    assert one["cwd"] != two["cwd"] and Path(one["cwd"]).is_relative_to(tmp_path)
    assert (one["module"], one["colour"], one["pytest"]) == (str(CODE), "blue", "False")
    assert one["task"] == "engine_flows.inspect"
    assert re.fullmatch(r"p/d/a\w+", one["execution"])


def test_the_server_ends_when_its_input_closes():
    """The warm server and what it runs end with the process that started it."""
    server = subprocess.Popen([sys.executable, str(SERVER_SCRIPT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert b"ready" in server.stdout.readline()
    server.stdin.close()
    assert server.wait(600) == 0


LEFT = """
from flyteoptuna import testing
from engine_flows import left

print(testing.run(left).outputs)
"""


def test_what_a_pod_leaves_behind_ends_with_the_process_that_ran_it(tmp_path):
    """As with a container, if later."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(CODE), *filter(None, sys.path)])}
    command = [sys.executable, "-c", LEFT]
    made = subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True)
    late = time.monotonic() + 600
    while alive(int(made.stdout)):
        assert time.monotonic() < late
        time.sleep(0.05)


def alive(pid):
    """Whether a process runs; one that nobody waits for keeps its number."""
    try:
        return "(zombie)" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_a_pod_that_takes_too_long_is_killed(flows, tmp_path):
    """After its time a pod is killed, which is a failure like any other."""
    with pytest.raises(ExecutionFailedError, match="killed by signal 14"):
        Engine(tmp_path, CODE, seconds=1).run(flows.sleeping, {"seconds": 30})


def test_the_primary_container_of_a_pod_is_what_runs():
    """A task with a pod template runs the arguments and the environment of its primary container."""
    template = tasks_pb2.TaskTemplate(config={"primary_container_name": "main"})
    containers = [
        {"name": "side", "args": ["no"]},
        {"name": "main", "args": ["pyflyte-execute"], "env": [{"name": "A", "value": "1"}]},
    ]
    template.k8s_pod.pod_spec.update({"containers": containers})
    assert container_command(template) == (["pyflyte-execute"], {"A": "1"})


def test_a_killed_pod_is_retried_as_often_as_the_engine_is_told(flows, tmp_path):
    """A killed pod is the system's failure: each new attempt has its own outputs, and without retries it is final."""
    engine = Engine(tmp_path, CODE, faults=on(Fault.KILL, attempt=0), system_retries=1)
    assert results(engine.run(flows.independent)) == [3]
    assert [pod.attempt for pod in engine.of("add")] == [0, 1]
    assert [pod.metadata.name for pod in engine.of("add")] == ["0", "1"]
    assert not (engine.of("add")[0].folder / "stdout").exists()
    engine = Engine(tmp_path / "none", CODE, faults=on(Fault.KILL))
    with pytest.raises(ExecutionFailedError, match="the pod was killed by signal 9"):
        engine.run(flows.retried, {"until": 0})
    assert len(engine.pods) == 1


def test_a_pod_can_die_after_its_work(flows, tmp_path):
    """The work was done, but its outputs do not count."""
    engine = Engine(tmp_path, CODE, faults=on(Fault.LOSE, task="engine_flows.add", attempt=0), system_retries=1)
    assert results(engine.run(flows.independent)) == [3]
    first, second = engine.of("add")
    assert (first.folder / "stdout").exists() and not list(first.metadata.iterdir())
    assert (first.outcome, second.outcome) == (PodOutcome.KILLED, PodOutcome.SUCCEEDED)


def test_a_process_that_ends_with_an_error_counts_as_the_users(flows, tmp_path):
    """A crash is retried out of the task's own retries."""
    engine = Engine(tmp_path, CODE, faults=on(Fault.CRASH, attempt=0))
    assert results(engine.run(flows.retried, {"until": 0})) == [1]
    with pytest.raises(ExecutionFailedError, match="exit code 1"):
        Engine(tmp_path, CODE, faults=on(Fault.CRASH)).run(flows.independent)


def test_an_output_can_be_dropped_from_a_list(flows, tmp_path):
    """A dropped element makes the list shorter, and what follows it moves up."""
    engine = Engine(tmp_path, CODE, faults=on(Fault.DROP, index=1))
    assert results(engine.run(flows.mapped, {"xs": integers(1, 2, 3)})) == ["[3, 9]"]


def test_an_output_can_be_nulled_in_a_list(flows, tmp_path):
    """A nulled element leaves None in its place."""
    engine = Engine(tmp_path, CODE, faults=on(Fault.NULL, index=1))
    assert results(engine.run(flows.mapped, {"xs": integers(1, 2, 3)})) == ["[3, None, 9]"]


def test_only_an_element_can_be_dropped(flows, tmp_path):
    """Dropping the output of a task that is in no list is a mistake of the test."""
    with pytest.raises(ValueError, match="is for an array's element"):
        Engine(tmp_path, CODE, faults=on(Fault.DROP)).run(flows.independent)


def test_an_element_is_retried_by_itself(flows, tmp_path):
    """An element's second attempt has its own folder below the element's, and the others run once."""
    engine = Engine(tmp_path, CODE, faults=on(Fault.KILL, index=1, attempt=0), system_retries=1)
    assert results(engine.run(flows.mapped, {"xs": integers(1, 2)})) == ["[3, 6]"]
    assert sorted((pod.index, pod.attempt) for pod in engine.of("scaled")) == [(0, 0), (1, 0), (1, 1)]
    [again] = [pod for pod in engine.of("scaled") if pod.attempt]
    assert again.metadata.parts[-3:] == ("0", "1", "1")


def test_a_recoverable_error_is_retried_as_often_as_the_task_allows(flows, tmp_path):
    """The task's own retries are for its recoverable errors, and the last of them is final."""
    engine = Engine(tmp_path, CODE)
    assert results(engine.run(flows.retried, {"until": 2})) == [2]
    assert [pod.outcome for pod in engine.pods] == [PodOutcome.RECOVERABLE] * 2 + [PodOutcome.SUCCEEDED]
    with pytest.raises(ExecutionFailedError, match="attempt 2 failed"):
        Engine(tmp_path, CODE).run(flows.retried, {"until": 3})


def test_an_attempt_reads_the_checkpoint_of_the_one_before(flows, engine):
    """Each attempt has raw outputs of its own, and is told where the last one's checkpoint is."""
    assert results(engine.run(flows.with_checkpoint)) == ["half done"]
    first, second = engine.pods
    assert first.raw != second.raw and list(first.raw.rglob("_flytecheckpoints*"))


def test_another_error_is_not_retried(flows, engine):
    """A plain exception fails the workflow at once, with the node, the task and the message."""
    with pytest.raises(ExecutionFailedError, match="this is broken") as failed:
        engine.run(flows.failing, {"x": 1})
    assert (failed.value.path, failed.value.task) == ("n0", "engine_flows.broken")
    assert len(engine.pods) == 1
    assert "this is broken" in engine.pods[0].stderr


def test_a_warm_pod_is_faster_than_a_cold_one(flows, tmp_path):
    """A pod from the warm server takes less than half the time of a cold one."""

    def seconds(cold, runs):
        engine = Engine(tmp_path, CODE, cold=cold)
        for _ in range(runs):
            engine.run(flows.retried, {"until": 0})
        return min(pod.ended - pod.started for pod in engine.pods)

    assert seconds(cold=False, runs=3) < seconds(cold=True, runs=1) / 2


@pytest.mark.parametrize("cold", [False, True])
def test_a_tasks_own_timeout_ends_its_pod_and_counts_as_the_users_failure(flows, tmp_path, cold):
    """Which is retried as often as the task says."""
    engine = Engine(tmp_path, CODE, delays=lambda pod: 3600.0, cold=cold)
    with pytest.raises(ExecutionFailedError, match=r"task execution timeout \[1s\] expired"):
        engine.run(flows.hurries, {"seconds": 0})
    assert [(pod.attempt, pod.outcome, pod.code) for pod in engine.pods] == [
        (0, PodOutcome.RECOVERABLE, -14),
        (1, PodOutcome.RECOVERABLE, -14),
    ]
