"""Run a workflow from its protobufs as flytepropeller does, each task by its own container command."""

from __future__ import annotations

import math
import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flyteidl.core import dynamic_job_pb2
from flyteidl.core.workflow_pb2 import WorkflowMetadata
from flytekit import LaunchPlan
from flytekit.configuration import ImageConfig, SerializationSettings
from flytekit.core.context_manager import FlyteContextManager
from flytekit.models.task import TaskSpec
from flytekit.tools.translator import get_serializable

from flyteoptuna.testing.compiler.nodes import START, workflow_nodes
from flyteoptuna.testing.compiler.registration import check_execution
from flyteoptuna.testing.engine.arrays import run_array
from flyteoptuna.testing.engine.branches import select_branch
from flyteoptuna.testing.engine.cache import Cache, cache_key
from flyteoptuna.testing.engine.failures import failure_node_with_error
from flyteoptuna.testing.engine.graphs import END_NODES, ExecutionGraph, RecoveryData, record_graph, upstream_ids
from flyteoptuna.testing.engine.refusals import refuse_dynamic_graph, refuse_nodes
from flyteoptuna.testing.engine.scopes import ExecutionFailedError, ExecutionScope, task_name, task_template
from flyteoptuna.testing.engine.threads import PodThreads
from flyteoptuna.testing.pods.literals import (
    Literals,
    MessageTooLargeError,
    UnresolvedBindingError,
    primitive_literal,
    resolve_bindings,
)
from flyteoptuna.testing.pods.pod import (
    ExecutionSettings,
    Fault,
    Pod,
    PodOutcome,
    read_futures,
    read_outputs,
    run_pod,
    write_literals,
)

# Settings of all workflows. No pod pulls the image.
SETTINGS = SerializationSettings(
    project="p", domain="d", version="v", image_config=ImageConfig.auto(img_name="registry/image:tag")
)


@dataclass
class Engine:
    """Engine that runs workflows and records their pods and graphs.

    Args:
        root: folder for the files of all runs.
        code: folder, or several, with the user's modules. They come first on the path of each pod.
        faults: returns the fault of a pod, if any, before the pod starts.
        delays: returns the delay of a pod's work, seconds.
        cold: whether each command starts in a new interpreter instead of a fork of a warm one.
        pods_at_once: maximum number of pods at once.
        system_retries: maximum number of retries after killed pods (Flyte's default is 3).
        cache: outputs of cached tasks; several engines can share it.
        seconds: time limit of a pod, seconds.
        pods: all pods in the order of their start.
        hits: records of the calls that the cache answered.
        graphs: records of all graphs.
        recovered: paths of the nodes that a recovery did not run again.
        depth: maximum nesting depth of dynamic tasks.
        node_count: number of executed nodes, including recovered ones.
        longest_key: longest object key below the metadata prefix.
        largest: size of the largest message, bytes: of inputs, outputs, errors and graphs.
        finished: data of the last run for its recovery.
        templates: templates of the executed tasks, by name.
    """

    root: Path
    code: Path | Sequence[Path]
    faults: Callable[[Pod], Fault | None] = lambda pod: None
    delays: Callable[[Pod], float] = lambda pod: 0.0
    cold: bool = False
    pods_at_once: int = 2
    system_retries: int = 0
    cache: Cache = field(default_factory=Cache)
    seconds: float = 300
    pods: list[Pod] = field(default_factory=list)
    hits: list[Pod] = field(default_factory=list)
    graphs: list[ExecutionGraph] = field(default_factory=list)
    recovered: list[str] = field(default_factory=list)
    depth: int = 0
    node_count: int = 0
    longest_key: str = ""
    largest: int = 0
    finished: RecoveryData = field(default_factory=RecoveryData)
    templates: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._threads = PodThreads(self.pods_at_once)
        self._previous = RecoveryData()

    def run(self, workflow: Any, inputs: Mapping[str, Any] | None = None) -> Literals:
        """Run a workflow from the start and return its output literals.

        Args:
            workflow: a flytekit workflow.
            inputs: literals, or primitive Python values. Default: the workflow's defaults.

        Raises:
            CompileError: Flyte would refuse to register the workflow, or its inputs.
            ExecutionFailedError: a node failed for good.
            NotImplementedError: the workflow has a node that this engine cannot run.
        """
        self._previous = RecoveryData()
        return self._run(workflow, inputs or {})

    def recover(self, workflow: Any, inputs: Mapping[str, Any] | None = None, of: Engine | None = None) -> Literals:
        """Run a workflow as a recovery of the last run, of this engine or another one.

        Nodes that finished in that run, identified by their paths, do not run again. Nor does a dynamic task that
        returned its graph. A map that failed runs all of its elements.
        """
        self._previous = (of or self).finished
        return self._run(workflow, inputs or {})

    def of(self, name: str, outcome: PodOutcome | None = None) -> list[Pod]:
        """Return the pods of the tasks whose names contain ``name``; those with an outcome, if given."""
        return [pod for pod in self.pods if name in pod.task and outcome in (None, pod.outcome)]

    def _run(self, workflow: Any, inputs: Mapping[str, Any]) -> Literals:
        self.finished = RecoveryData()
        spec, tasks = self.serialize(workflow)
        # The policy of the outermost workflow applies to all nested ones.
        policy = spec.template.metadata.on_failure
        self._continue_on_failure = policy == WorkflowMetadata.FAIL_AFTER_EXECUTABLE_NODES_COMPLETE
        name = f"a{uuid.uuid4().hex[:19]}"
        code = (self.code,) if isinstance(self.code, Path) else tuple(self.code)
        self._settings = ExecutionSettings(self.root, name, spec.template.id, code, self.cold, self.seconds)
        scope = ExecutionScope(
            "",
            self.root / "metadata" / name,
            0,
            tasks={task.id.name: task for task in tasks},
            workflows={template.id.name: template for template in spec.sub_workflows},
        )
        refuse_nodes(workflow_nodes(spec.template), scope)
        literals = {key: primitive_literal(v) if isinstance(v, (str, int, float)) else v for key, v in inputs.items()}
        literals = check_execution(spec.template, spec.sub_workflows, tasks, self.parameters(workflow), literals)
        return self._run_workflow(spec.template, literals, scope)

    def _run_workflow(self, template: Any, inputs: Literals, scope: ExecutionScope) -> Literals:
        try:
            return self._run_graph(template.nodes, template.outputs, inputs, scope)
        except ExecutionFailedError as error:
            if template.HasField("failure_node"):
                # If the failure node fails too, its own error is raised.
                self._run_node(failure_node_with_error(template, scope, error), {START: inputs}, scope)
            raise

    def serialize(self, workflow: Any) -> tuple[Any, list[Any]]:
        """Return the specification of a workflow and the templates of its tasks, as protobufs."""
        entities: OrderedDict[Any, Any] = OrderedDict()
        spec = get_serializable(entities, SETTINGS, workflow).to_flyte_idl()
        return spec, [model.to_flyte_idl().template for model in entities.values() if isinstance(model, TaskSpec)]

    def parameters(self, workflow: Any) -> Mapping[str, Any]:
        """Return the types and defaults of a workflow's inputs."""
        plan = LaunchPlan.get_default_launch_plan(FlyteContextManager.current_context(), workflow)
        parameters: Mapping[str, Any] = plan.parameters.to_flyte_idl().parameters
        return parameters

    def _run_graph(
        self, nodes: Iterable[Any], outputs: Iterable[Any], inputs: Literals, scope: ExecutionScope
    ) -> Literals:
        waiting = {node.id: node for node in nodes if node.id not in END_NODES}
        with self._lock:
            self.depth = max(self.depth, scope.depth)
            self.graphs.append(record_graph(scope.path, waiting.values()))
        done: dict[str, Literals] = {START: inputs}

        def take_ready() -> list[Any]:
            ready = [node for node in waiting.values() if set(upstream_ids(node)) <= set(done)]
            return [waiting.pop(node.id) for node in ready]

        def run_node(node: Any) -> None:
            done[node.id] = self._run_node(node, done, scope)

        self._threads.run_nodes(take_ready, run_node, continue_on_failure=self._continue_on_failure)
        try:
            return resolve_bindings(outputs, done)
        except UnresolvedBindingError as error:
            raise ExecutionFailedError(scope.path, "", str(error)) from error

    def _run_node(self, node: Any, done: Mapping[str, Literals], scope: ExecutionScope) -> Literals:
        path = scope.node_path(node.id)
        with self._lock:
            self.node_count += 1
        outputs = self._previous.outputs.get(path)
        if outputs is None:
            try:
                inputs = resolve_bindings(node.inputs, done)
                file = scope.node_folder(node.id) / "inputs.pb"
                write_literals(file, inputs)
                self._record_file(file)
                outputs = self._run_target(node, inputs, scope, done)
            except (UnresolvedBindingError, MessageTooLargeError) as error:
                raise ExecutionFailedError(path, task_name(node), str(error)) from error
        else:
            self.recovered.append(path)
        self.finished.outputs[path] = outputs
        return outputs

    def _run_target(self, node: Any, inputs: Literals, scope: ExecutionScope, done: Mapping[str, Literals]) -> Literals:
        match node.WhichOneof("target"):
            case "task_node":
                return self._run_task(node, inputs, scope)
            case "array_node":
                return run_array(self, node, inputs, scope)
            case "workflow_node":
                template = scope.workflows[node.workflow_node.sub_workflow_ref.name]
                return self._run_workflow(template, inputs, scope.nested(node.id, 0))
            case _:
                return self._run_node(select_branch(node, inputs), done, scope.nested(node.id, 0))

    def _run_task(self, node: Any, inputs: Literals, scope: ExecutionScope) -> Literals:
        template = task_template(node, scope)
        path = scope.node_path(node.id)
        futures = self._previous.futures.get(path)
        key = cache_key(template, inputs)
        pod = Pod(template.id.name, path, None, 0, scope.depth, inputs)
        if futures is None and (cached := self.read_cache(key, pod)) is not None:
            return cached
        if futures is None:
            folder = scope.node_folder(node.id)
            pod = self.run_attempts(node, pod, template, folder, folder / "inputs.pb")
            if pod.outcome not in (PodOutcome.SUCCEEDED, PodOutcome.DYNAMIC):
                raise ExecutionFailedError(path, pod.task, pod.message)
            if pod.outcome is PodOutcome.DYNAMIC:
                futures = read_futures(pod.metadata / "futures.pb")
        outputs = (
            read_outputs(pod.metadata)
            if futures is None
            else self._run_dynamic(node, template, futures, inputs, scope, pod)
        )
        self.write_cache(key, outputs)
        return outputs

    def _run_dynamic(
        self, node: Any, template: Any, futures: bytes, inputs: Literals, scope: ExecutionScope, pod: Pod
    ) -> Literals:
        self.finished.futures[pod.path] = futures
        job = dynamic_job_pb2.DynamicJobSpec.FromString(futures)
        nested = scope.nested(
            node.id,
            pod.attempt,
            depth=scope.depth + 1,
            tasks={task.id.name: task for task in job.tasks},
            workflows={workflow.id.name: workflow for workflow in job.subworkflows},
        )
        refuse_dynamic_graph(job, template, pod, nested)
        outputs = self._run_graph(job.nodes, job.outputs, inputs, nested)
        write_literals(nested.folder / "outputs.pb", outputs)
        return outputs

    def read_cache(self, key: tuple[str, ...] | None, pod: Pod) -> Literals | None:
        """Return the cached outputs of a call and record the hit; None if there are none."""
        outputs = self.cache.get(key) if key else None
        if outputs is not None:
            pod.outcome = PodOutcome.HIT
            with self._lock:
                self.hits.append(pod)
        return outputs

    def write_cache(self, key: tuple[str, ...] | None, outputs: Literals) -> None:
        """Write the outputs of a call to the cache, if the call has a key."""
        if key and outputs:
            self.cache.put(key, outputs)

    def run_attempts(self, node: Any, first: Pod, template: Any, folder: Path, inputs: Path) -> Pod:
        """Run the pods of a node or array element until one succeeds or no retry remains.

        Args:
            node: the protobuf of the task's node.
            first: the record of the first attempt.
            template: the task's protobuf.
            folder: parent of the folders of the attempts.
            inputs: the file with the inputs.

        Returns:
            The record of the last attempt.
        """
        self.templates[template.id.name] = template
        retries = node.metadata.retries.retries or template.metadata.retries.retries
        timeout = node.metadata.timeout if node.metadata.timeout.ToNanoseconds() else template.metadata.timeout
        limit = timeout.ToNanoseconds() / 1e9 or math.inf
        failures = {True: 0, False: 0}
        max_failures = {True: self.system_retries, False: retries}
        pod, previous = first, None
        while True:
            with self._threads.slot():
                self._register_pod(pod, folder)
                run_pod(pod, template, inputs, previous, self._settings, limit)
            for file in pod.metadata.iterdir():
                self._record_file(file)
            if pod.outcome not in (PodOutcome.KILLED, PodOutcome.RECOVERABLE):
                return pod
            failures[pod.system] += 1
            if failures[pod.system] > max_failures[pod.system]:
                return pod
            previous = pod
            pod = Pod(pod.task, pod.path, pod.index, pod.attempt + 1, pod.depth, pod.inputs)

    def _register_pod(self, pod: Pod, folder: Path) -> None:
        pod.metadata = folder / str(pod.attempt)
        with self._lock:
            pod.folder = self.root / "pods" / self._settings.name / str(len(self.pods))
            self.pods.append(pod)
            pod.fault, pod.delay = self.faults(pod), self.delays(pod)
        if pod.fault in (Fault.DROP, Fault.NULL) and pod.index is None:
            raise ValueError(f"{pod.fault} is for an array's element, but got {pod}")

    def _record_file(self, path: Path) -> None:
        """Update the longest object key and the size of the largest message."""
        key = str(path.relative_to(self.root / "metadata"))
        with self._lock:
            self.longest_key = max(self.longest_key, key, key=len)
            if path.suffix == ".pb":
                self.largest = max(self.largest, path.stat().st_size)

    def run_elements(self, run: Callable[[int], Any], size: int, parallelism: int) -> None:
        """Call ``run`` for each index of an array in order, at most ``parallelism`` at once (0: no limit)."""
        self._threads.run_elements(run, size, parallelism)
