"""Run a pod: its record, folders, environment, command and outcome."""

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

from flyteidl.core import errors_pb2, execution_pb2
from flyteidl.core import literals_pb2 as pb
from google.protobuf.json_format import MessageToDict

from flyteoptuna.testing.pods.literals import Literals, check_size
from flyteoptuna.testing.pods.processes import PodCommand, inherited_environment, run_cold, run_warm


class Fault(Enum):
    """Fault that a test injects into a pod."""

    KILL = "the pod dies before its work"
    LOSE = "the pod dies after its work, and its outputs are deleted"
    CRASH = "the process exits with an error before its work, which counts as the user's failure"
    DROP = "the output of an array element is missing from the list"
    NULL = "the output of an array element becomes None"


class PodOutcome(Enum):
    """Outcome of a pod."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    DYNAMIC = "succeeded and returned a graph"
    KILLED = "killed"
    RECOVERABLE = "failed, may be retried"
    FAILED = "failed"
    HIT = "not run, because the outputs were in the cache"


@dataclass
class Pod:
    """Record of one pod, which is one attempt of a task.

    Args:
        task: name of the task.
        path: path of the node: the IDs and attempts of its parents and its own ID, joined with ``-``.
        index: index of the element in an array; None outside of arrays.
        attempt: number of the attempt, from 0.
        depth: number of enclosing dynamic tasks.
        inputs: its input literals; those of an array's element, not of the array.
        folder: its scratch folder, with ``stdout`` and ``stderr``.
        metadata: folder of its outputs, futures or error.
        raw: folder of its files and data frames.
        outcome: its outcome.
        message: reason of a failure.
        fault: fault that the test injected.
        delay: delay of its work by the test, seconds.
        code: exit code of its process; the negative number of a signal.
        started: its start on a monotonic clock, seconds.
        ended: its end on the same clock, seconds.
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
    outcome: PodOutcome = PodOutcome.RUNNING
    message: str = ""
    fault: Fault | None = None
    delay: float = 0.0
    code: int = 0
    started: float = field(default=0.0, repr=False)
    ended: float = field(default=0.0, repr=False)

    @property
    def seconds(self) -> float:
        """Duration, seconds."""
        return self.ended - self.started

    @property
    def log(self) -> str:
        """Its stdout, followed by its stderr."""
        return self.stdout + self.stderr

    @property
    def stdout(self) -> str:
        """Text that it wrote to stdout."""
        return _read_text(self.folder / "stdout")

    @property
    def stderr(self) -> str:
        """Text that it wrote to stderr."""
        return _read_text(self.folder / "stderr")

    @property
    def system(self) -> bool:
        """Whether its failure is a system failure instead of the user's."""
        return self.outcome is PodOutcome.KILLED


@dataclass(frozen=True)
class ExecutionSettings:
    """Settings that all pods of an execution share.

    Args:
        root: folder of the execution.
        name: name of the execution.
        workflow: identifier of the workflow.
        code: folders with the user's modules.
        cold: whether each command starts in a new interpreter.
        seconds: time limit of a pod, seconds.
    """

    root: Path
    name: str
    workflow: Any
    code: tuple[Path, ...]
    cold: bool = False
    seconds: float = 300


def run_pod(
    pod: Pod, template: Any, inputs: Path, previous: Pod | None, settings: ExecutionSettings, limit: float = math.inf
) -> None:
    """Run a pod's command and set its outcome.

    Args:
        pod: its record, with ``folder``, ``metadata`` and ``fault`` set.
        template: the task's protobuf.
        inputs: the file with its inputs.
        previous: the previous attempt, whose checkpoint it may read.
        settings: the settings of the execution.
        limit: timeout of the task, seconds.
    """
    pod.raw = settings.root / "raw" / uuid.uuid4().hex
    for folder in (pod.metadata, pod.raw, pod.folder / "work", pod.folder / "tmp"):
        folder.mkdir(parents=True)
    pod.started = time.monotonic()
    if pod.fault in (Fault.KILL, Fault.CRASH):
        code = 1 if pod.fault is Fault.CRASH else -9
    else:
        code = _run_command(pod, template, inputs, previous, settings, limit)
    if pod.fault is Fault.LOSE:
        code = -9
        for file in pod.metadata.iterdir():
            file.unlink()
    pod.ended, pod.code = time.monotonic(), code
    if code == -signal.SIGALRM and limit <= settings.seconds:
        # Flyte counts a timeout as the user's failure.
        pod.outcome = PodOutcome.RECOVERABLE
        pod.message = f"task execution timeout [{limit:g}s] expired\n{log_tail(pod)}"
    else:
        _set_outcome(pod, template, code)


def _run_command(
    pod: Pod, template: Any, inputs: Path, previous: Pod | None, settings: ExecutionSettings, limit: float
) -> int:
    args, env = container_command(template)
    values = {
        "input": inputs,
        "inputPrefix": inputs.parent,
        "outputPrefix": pod.metadata,
        "rawOutputDataPrefix": pod.raw,
        "checkpointOutputPrefix": pod.raw / "_flytecheckpoints",
        "prevCheckpointPrefix": previous.raw / "_flytecheckpoints" if previous else '""',
    }
    command = PodCommand(
        args=[_fill_template(arg, values) for arg in args],
        env={
            **inherited_environment(),
            "TMPDIR": str(pod.folder / "tmp"),
            **_identity_environment(pod, template, settings),
            **env,
        },
        cwd=str(pod.folder / "work"),
        path=[str(folder) for folder in settings.code],
        stdout=str(pod.folder / "stdout"),
        stderr=str(pod.folder / "stderr"),
        seconds=min(limit, settings.seconds),
        delay=pod.delay,
    )
    return run_cold(command) if settings.cold else run_warm(command)


def _fill_template(arg: str, values: dict[str, Any]) -> str:
    def replacement(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise NotImplementedError(f"the engine does not fill in {match[0]}")
        return str(values[match[1]])

    return re.sub(r"{{\s*\.(\S+?)\s*}}", replacement, arg)


def container_command(template: Any) -> tuple[list[str], dict[str, str]]:
    """Return the command with its arguments, and the environment, of a task's primary container."""
    match template.WhichOneof("target"):
        case "container":
            return [*template.container.command, *template.container.args], {
                pair.key: pair.value for pair in template.container.env
            }
        case "k8s_pod":
            primary = template.config["primary_container_name"]
            containers = MessageToDict(template.k8s_pod.pod_spec)["containers"]
            spec = next(spec for spec in containers if spec["name"] == primary)
            env = {pair["name"]: pair["value"] for pair in spec.get("env", []) if "value" in pair}
            return [*spec.get("command", []), *spec.get("args", [])], env
        case target:
            raise NotImplementedError(f"the engine runs no task whose target is {target}: {template.id.name}")


def _identity_environment(pod: Pod, template: Any, settings: ExecutionSettings) -> dict[str, str]:
    task, workflow = template.id, settings.workflow
    env = {
        "FLYTE_INTERNAL_EXECUTION_ID": settings.name,
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


def _set_outcome(pod: Pod, template: Any, code: int) -> None:
    error = pod.metadata / "error.pb"
    if code < 0:
        pod.outcome, pod.message = PodOutcome.KILLED, f"the pod was killed by signal {-code}\n{log_tail(pod)}"
    elif code:
        pod.outcome, pod.message = PodOutcome.RECOVERABLE, f"the pod ended with exit code {code}\n{log_tail(pod)}"
    elif error.exists():
        _set_error(pod, error)
    elif (pod.metadata / "futures.pb").exists():
        pod.outcome = PodOutcome.DYNAMIC
    elif template.interface.outputs.variables and not (pod.metadata / "outputs.pb").exists():
        pod.outcome, pod.message = PodOutcome.RECOVERABLE, f"Outputs not generated by task execution\n{log_tail(pod)}"
    else:
        pod.outcome = PodOutcome.SUCCEEDED


def _set_error(pod: Pod, path: Path) -> None:
    error = errors_pb2.ErrorDocument.FromString(path.read_bytes()).error
    recoverable = error.kind == errors_pb2.ContainerError.RECOVERABLE
    system = error.origin == execution_pb2.ExecutionError.SYSTEM
    pod.outcome = (PodOutcome.KILLED if system else PodOutcome.RECOVERABLE) if recoverable else PodOutcome.FAILED
    pod.message = error.message


def log_tail(pod: Pod) -> str:
    """Return the last 20 lines of a pod's log."""
    return "\n".join(pod.log.splitlines()[-20:])


def read_outputs(folder: Path) -> Literals:
    """Return the literals of a folder's ``outputs.pb``; none if there is no such file."""
    return read_literals(folder / "outputs.pb") if (folder / "outputs.pb").exists() else {}


def read_literals(path: Path) -> Literals:
    """Return the literals of a file of at most ``INLINE_LIMIT`` bytes."""
    check_size(path.name, path.stat().st_size)
    return dict(pb.LiteralMap.FromString(path.read_bytes()).literals)


def write_literals(path: Path, literals: Literals) -> None:
    """Write literals to a file of at most ``INLINE_LIMIT`` bytes."""
    content = pb.LiteralMap(literals=literals).SerializeToString()
    check_size(path.name, len(content))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def read_futures(path: Path) -> bytes:
    """Return the serialised graph of a dynamic task, of at most ``INLINE_LIMIT`` bytes."""
    check_size(path.name, path.stat().st_size)
    return path.read_bytes()


def _read_text(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""
