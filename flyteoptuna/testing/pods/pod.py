"""One pod: its record, its folders, its environment and command, and what it leaves behind."""

from __future__ import annotations

import math
import re
import signal
import time
import uuid
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from flyteidl.core import dynamic_job_pb2, errors_pb2, execution_pb2
from flyteidl.core import literals_pb2 as pb
from google.protobuf.json_format import MessageToDict

from flyteoptuna.testing.pods.literals import Literals, check_size
from flyteoptuna.testing.pods.processes import Job, machine, run_cold, run_warm


class Fault(Enum):
    """What a test may do to a pod."""

    KILL = "the pod dies before it does anything"
    LOSE = "the pod dies after its work: its outputs are deleted"
    CRASH = "the process ends with an error before its work: counts as the user's, where a killed pod is Flyte's"
    DROP = "an array element's output is left out of the list, which is one element shorter"
    NULL = "an array element that succeeded comes back as None"


class Outcome(Enum):
    """How a pod ended."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    DYNAMIC = "succeeded, with a graph to run"
    KILLED = "killed"
    RECOVERABLE = "failed, may be retried"
    FAILED = "failed"
    HIT = "not run: found in the cache"


@dataclass
class Pod:
    """The record of one pod.

    Args:
        task: the task's name.
        path: the node's path from the root: parents' node ids and attempts, joined with `-`.
        index: the index of an array's element.
        attempt: from 0.
        depth: in how many dynamic tasks it is nested.
        inputs: the literals that it takes; for an array's element its own.
        folder: its own scratch folder, with `stdout` and `stderr`.
        metadata: where its outputs, futures or error go.
        raw: where its files and data frames go.
        outcome: how it ended.
        message: why it failed.
        fault: what the test did to it.
        delay: seconds that the test let it wait before its work.
        code: the exit code of its process; a signal's is its negative number.
        started: seconds of a monotonic clock.
        ended: seconds of the same clock.
    """

    task: str
    path: str
    index: int | None
    attempt: int
    depth: int
    inputs: Literals = field(repr=False)
    folder: Path = field(default=Path(), repr=False)
    metadata: Path = field(default=Path(), repr=False)
    raw: Path = field(default=Path(), repr=False)
    outcome: Outcome = Outcome.RUNNING
    message: str = ""
    fault: Fault | None = None
    delay: float = 0.0
    code: int = 0
    started: float = field(default=0.0, repr=False)
    ended: float = field(default=0.0, repr=False)

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.ended - self.started

    @property
    def log(self) -> str:
        """All that it wrote."""
        return self.stdout + self.stderr

    @property
    def stdout(self) -> str:
        """What it printed."""
        return _text(self.folder / "stdout")

    @property
    def stderr(self) -> str:
        """What it wrote to stderr."""
        return _text(self.folder / "stderr")

    @property
    def system(self) -> bool:
        """Whether its failure counts as Flyte's own and not as the user's."""
        return self.outcome is Outcome.KILLED


@dataclass(frozen=True)
class Place:
    """What all the pods of an execution share.

    Args:
        root: the folder of the execution.
        name: the execution's name.
        workflow: the workflow's identifier.
        code: the folders with the user's modules.
        cold: whether each command is started in a new interpreter.
        seconds: after how many seconds a pod is killed.
    """

    root: Path
    name: str
    workflow: Any
    code: tuple[Path, ...]
    cold: bool = False
    seconds: float = 300


def execute(pod: Pod, template: Any, inputs: Path, previous: Pod | None, place: Place, limit: float = math.inf) -> None:
    """Run a pod's command and fill in its outcome.

    Args:
        pod: the record, with folder, metadata and fault set.
        template: the task's protobuf.
        inputs: the file with its inputs.
        previous: the attempt before, whose checkpoint it may read.
        place: where it runs.
        limit: seconds that the task may take.
    """
    pod.raw = place.root / "raw" / uuid.uuid4().hex
    for folder in (pod.metadata, pod.raw, pod.folder / "work", pod.folder / "tmp"):
        folder.mkdir(parents=True)
    pod.started = time.monotonic()
    if pod.fault in (Fault.KILL, Fault.CRASH):
        code = 1 if pod.fault is Fault.CRASH else -9
    else:
        code = _start(pod, template, inputs, previous, place, limit)
    if pod.fault is Fault.LOSE:
        code = -9
        for file in pod.metadata.iterdir():
            file.unlink()
    pod.ended, pod.code = time.monotonic(), code
    if code == -signal.SIGALRM and limit <= place.seconds:
        # Flyte counts it as the user's failure.
        pod.outcome, pod.message = Outcome.RECOVERABLE, f"task execution timeout [{limit:g}s] expired\n{tail(pod)}"
    else:
        _judge(pod, template, code)


def _start(pod: Pod, template: Any, inputs: Path, previous: Pod | None, place: Place, limit: float) -> int:
    args, env = container(template)
    values = {
        "input": inputs,
        "inputPrefix": inputs.parent,
        "outputPrefix": pod.metadata,
        "rawOutputDataPrefix": pod.raw,
        "checkpointOutputPrefix": pod.raw / "_flytecheckpoints",
        "prevCheckpointPrefix": previous.raw / "_flytecheckpoints" if previous else '""',
    }
    job = Job(
        args=[_filled(arg, values) for arg in args],
        env={**machine(), "TMPDIR": str(pod.folder / "tmp"), **_identity(pod, template, place), **env},
        cwd=str(pod.folder / "work"),
        path=[str(folder) for folder in place.code],
        stdout=str(pod.folder / "stdout"),
        stderr=str(pod.folder / "stderr"),
        seconds=min(limit, place.seconds),
        delay=pod.delay,
    )
    return run_cold(job) if place.cold else run_warm(job)


def _filled(arg: str, values: dict[str, Any]) -> str:
    def value(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise NotImplementedError(f"the engine does not fill in {match[0]}")
        return str(values[match[1]])

    return re.sub(r"{{\s*\.(\S+?)\s*}}", value, arg)


def container(template: Any) -> tuple[list[str], dict[str, str]]:
    """Return the command with its arguments, and the environment, of a task's (primary) container."""
    match template.WhichOneof("target"):
        case "container":
            return [*template.container.command, *template.container.args], {
                pair.key: pair.value for pair in template.container.env
            }
        case "k8s_pod":
            primary = template.config["primary_container_name"]
            containers = MessageToDict(template.k8s_pod.pod_spec)["containers"]
            found = next(spec for spec in containers if spec["name"] == primary)
            env = {pair["name"]: pair["value"] for pair in found.get("env", []) if "value" in pair}
            return [*found.get("command", []), *found.get("args", [])], env
        case target:
            raise NotImplementedError(f"the engine runs no task whose target is {target}: {template.id.name}")


def _identity(pod: Pod, template: Any, place: Place) -> dict[str, str]:
    task, workflow = template.id, place.workflow
    env = {
        "FLYTE_INTERNAL_EXECUTION_ID": place.name,
        "FLYTE_INTERNAL_EXECUTION_PROJECT": workflow.project,
        "FLYTE_INTERNAL_EXECUTION_DOMAIN": workflow.domain,
        "FLYTE_INTERNAL_EXECUTION_WORKFLOW": f"{workflow.project}:{workflow.domain}:{workflow.name}",
        "FLYTE_ATTEMPT_NUMBER": str(pod.attempt),
    }
    for name in ("project", "domain", "name", "version"):
        env[f"FLYTE_INTERNAL_TASK_{name.upper()}"] = env[f"FLYTE_INTERNAL_{name.upper()}"] = getattr(task, name)
    if pod.index is not None:
        env |= {"BATCH_JOB_ARRAY_INDEX_VAR_NAME": "FLYTE_K8S_ARRAY_INDEX", "FLYTE_K8S_ARRAY_INDEX": str(pod.index)}
    return env


def _judge(pod: Pod, template: Any, code: int) -> None:
    error = pod.metadata / "error.pb"
    if code < 0:
        pod.outcome, pod.message = Outcome.KILLED, f"the pod was killed by signal {-code}\n{tail(pod)}"
    elif code:
        pod.outcome, pod.message = Outcome.RECOVERABLE, f"the pod ended with exit code {code}\n{tail(pod)}"
    elif error.exists():
        _read_error(pod, error)
    elif (pod.metadata / "futures.pb").exists():
        pod.outcome = Outcome.DYNAMIC
    elif template.interface.outputs.variables and not (pod.metadata / "outputs.pb").exists():
        pod.outcome, pod.message = Outcome.RECOVERABLE, f"Outputs not generated by task execution\n{tail(pod)}"
    else:
        pod.outcome = Outcome.SUCCEEDED


def _read_error(pod: Pod, path: Path) -> None:
    error = errors_pb2.ErrorDocument.FromString(path.read_bytes()).error
    recoverable = error.kind == errors_pb2.ContainerError.RECOVERABLE
    system = error.origin == execution_pb2.ExecutionError.SYSTEM
    pod.outcome = (Outcome.KILLED if system else Outcome.RECOVERABLE) if recoverable else Outcome.FAILED
    pod.message = error.message


def tail(pod: Pod) -> str:
    """Return the last lines that a pod wrote."""
    return "\n".join((pod.stdout + pod.stderr).splitlines()[-20:])


def read_outputs(folder: Path) -> Literals:
    """Return the literals in a folder's `outputs.pb`; none if there is no such file."""
    return read_literals(folder / "outputs.pb") if (folder / "outputs.pb").exists() else {}


def read_literals(path: Path) -> Literals:
    """Return the literals in a file, which must not be over the propeller's limit."""
    check_size(path.name, path.stat().st_size)
    return dict(pb.LiteralMap.FromString(path.read_bytes()).literals)


def write_literals(path: Path, literals: Literals) -> None:
    """Write literals to a file, which must not be over the propeller's limit."""
    content = pb.LiteralMap(literals=literals).SerializeToString()
    check_size(path.name, len(content))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def read_futures(path: Path) -> Any:
    """Return the compiled graph of a dynamic task."""
    check_size(path.name, path.stat().st_size)
    return dynamic_job_pb2.DynamicJobSpec.FromString(path.read_bytes())


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""
