"""Runs a workflow from its protobufs as flytepropeller does, each task by its own container command."""

from __future__ import annotations

import functools
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

from flyteoptuna.testing.compiler.nodes import nodes_of_workflow
from flyteoptuna.testing.compiler.registration import check_execution
from flyteoptuna.testing.engine.arrays import run_array
from flyteoptuna.testing.engine.branches import chosen
from flyteoptuna.testing.engine.cache import Cache, cache_key
from flyteoptuna.testing.engine.failures import failure_node
from flyteoptuna.testing.engine.graphs import ENDS, Finished, Graph, graph_of, upstream
from flyteoptuna.testing.engine.refusals import check_graph, check_nodes
from flyteoptuna.testing.engine.scopes import ExecutionFailed, Scope, task_name, task_of
from flyteoptuna.testing.engine.workers import Workers
from flyteoptuna.testing.pods.literals import START, Literals, TooLarge, UnresolvedBinding, primitive, resolve
from flyteoptuna.testing.pods.pod import Fault, Outcome, Place, Pod, execute, read_futures, read_outputs, write_literals

SETTINGS = SerializationSettings(
    project="p", domain="d", version="v", image_config=ImageConfig.auto(img_name="registry/image:tag")
)


@dataclass
class Engine:
    """Follows the nodes of a workflow and records what it ran.

    Args:
        root: a folder of its own; each run makes new folders below it.
        code: the folder with the user's modules, or several, on every pod's path.
        faults: says for a pod that is about to start what happens to it.
        delays: says for such a pod how many seconds pass before its work starts.
        cold: whether each command is started in a new interpreter and not forked from a warm one.
        workers: how many pods run at once.
        system_retries: how often a node whose pod was killed is tried again (Flyte's default is 3).
        cache: outputs of cached tasks, possibly of another engine.
        seconds: after how many seconds a pod is killed.
        pods: the pods that ran, in the order in which they started.
        hits: records of the calls that the cache answered.
        graphs: the graphs that ran.
        recovered: paths of the nodes whose outputs a recovery took over.
        depth: the deepest nesting of dynamic tasks so far.
        nodes: how many nodes were executed, recovered ones included.
        longest_key: the longest key of an object below the metadata prefix so far.
        largest: bytes of the largest message so far: of inputs, outputs, an error or a graph.
        finished: what a recovery may take over.
        templates: the templates of the tasks that ran, by name.
    """

    root: Path
    code: Path | Sequence[Path]
    faults: Callable[[Pod], Fault | None] = lambda pod: None
    delays: Callable[[Pod], float] = lambda pod: 0.0
    cold: bool = False
    workers: int = 2
    system_retries: int = 0
    cache: Cache = field(default_factory=Cache)
    seconds: float = 300
    pods: list[Pod] = field(default_factory=list)
    hits: list[Pod] = field(default_factory=list)
    graphs: list[Graph] = field(default_factory=list)
    recovered: list[str] = field(default_factory=list)
    depth: int = 0
    nodes: int = 0
    longest_key: str = ""
    largest: int = 0
    finished: Finished = field(default_factory=Finished)
    templates: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._workers = Workers(self.workers)
        self._before = Finished()

    def run(self, workflow: Any, inputs: Mapping[str, Any] | None = None) -> Literals:
        """Run a workflow from the start and return its output literals.

        Args:
            workflow: a flytekit workflow.
            inputs: literals, or primitive Python values; those left out take the workflow's defaults.

        Raises:
            CompileError: if Flyte would refuse to register the workflow, or its inputs.
            ExecutionFailed: if a node failed for good.
            NotImplementedError: at a kind of node that this engine does not run.
        """
        self._before = Finished()
        return self._run(workflow, inputs or {})

    def recover(self, workflow: Any, inputs: Mapping[str, Any] | None = None, of: Engine | None = None) -> Literals:
        """Run a workflow as a recovery of the last run, of this engine or of another one.

        Nodes that finished there are not run again: they are found by their path. A dynamic task whose graph was
        compiled there is not compiled again. A map that failed there runs whole.
        """
        self._before = (of or self).finished
        return self._run(workflow, inputs or {})

    def of(self, name: str, outcome: Outcome | None = None) -> list[Pod]:
        """Return the pods of the tasks whose name contains `name`, with an outcome if one is given."""
        return [pod for pod in self.pods if name in pod.task and outcome in (None, pod.outcome)]

    def _run(self, workflow: Any, given: Mapping[str, Any]) -> Literals:
        self.finished = Finished()
        spec, tasks = self.compiled(workflow)
        # That of the outermost workflow holds for all in it.
        self._to_the_end = spec.template.metadata.on_failure == WorkflowMetadata.FAIL_AFTER_EXECUTABLE_NODES_COMPLETE
        name = f"a{uuid.uuid4().hex[:19]}"
        code = (self.code,) if isinstance(self.code, Path) else tuple(self.code)
        self._place = Place(self.root, name, spec.template.id, code, self.cold, self.seconds)
        known = {each.id.name: each for each in tasks}, {each.id.name: each for each in spec.sub_workflows}
        scope = Scope("", self.root / "metadata" / name, 0, *known)
        check_nodes(nodes_of_workflow(spec.template), scope)
        values = {key: primitive(v) if isinstance(v, (str, int, float)) else v for key, v in given.items()}
        inputs = check_execution(spec.template, spec.sub_workflows, tasks, self.parameters(workflow), values)
        return self._workflow(spec.template, inputs, scope)

    def _workflow(self, template: Any, inputs: Literals, scope: Scope) -> Literals:
        try:
            return self._graph(template.nodes, template.outputs, inputs, scope)
        except ExecutionFailed as error:
            if template.HasField("failure_node"):
                # Where it fails itself, its error is the one that is told.
                self._node(failure_node(template, scope, error), {START: inputs}, scope)
            raise

    def compiled(self, workflow: Any) -> tuple[Any, list[Any]]:
        """Return the specification of a workflow, and the templates of its tasks."""
        entities: OrderedDict[Any, Any] = OrderedDict()
        spec = get_serializable(entities, SETTINGS, workflow).to_flyte_idl()
        return spec, [model.to_flyte_idl().template for model in entities.values() if isinstance(model, TaskSpec)]

    def parameters(self, workflow: Any) -> Mapping[str, Any]:
        """Return the types and the defaults of a workflow's inputs."""
        plan = LaunchPlan.get_default_launch_plan(FlyteContextManager.current_context(), workflow)
        found: Mapping[str, Any] = plan.parameters.to_flyte_idl().parameters
        return found

    def _graph(self, nodes: Iterable[Any], outputs: Iterable[Any], inputs: Literals, scope: Scope) -> Literals:
        waiting = {node.id: node for node in nodes if node.id not in ENDS}
        with self._lock:
            self.depth = max(self.depth, scope.depth)
            self.graphs.append(graph_of(scope.path, waiting.values()))
        done: dict[str, Literals] = {START: inputs}

        def ready() -> list[Any]:
            found = [node for node in waiting.values() if set(upstream(node)) <= set(done)]
            return [waiting.pop(node.id) for node in found]

        def run(node: Any) -> None:
            done[node.id] = self._node(node, done, scope)

        self._workers.graph(ready, run, to_the_end=self._to_the_end)
        try:
            return resolve(outputs, done)
        except UnresolvedBinding as error:
            raise ExecutionFailed(scope.path, "", str(error)) from error

    def _node(self, node: Any, done: Mapping[str, Literals], scope: Scope) -> Literals:
        path = scope.child(node.id)
        with self._lock:
            self.nodes += 1
        outputs = self._before.outputs.get(path)
        if outputs is None:
            try:
                inputs = resolve(node.inputs, done)
                write_literals(scope.data(node.id) / "inputs.pb", inputs)
                self.note_key(scope.data(node.id) / "inputs.pb")
                outputs = self._kind(node, done)(node, inputs, scope)
            except (UnresolvedBinding, TooLarge) as error:
                raise ExecutionFailed(path, task_name(node), str(error)) from error
        else:
            self.recovered.append(path)
        self.finished.outputs[path] = outputs
        return outputs

    def _kind(self, node: Any, done: Mapping[str, Literals]) -> Callable[[Any, Literals, Scope], Literals]:
        match node.WhichOneof("target"):
            case "task_node":
                return self._task
            case "array_node":
                return functools.partial(run_array, self)
            case "workflow_node":
                return self._subworkflow
            case _:
                return functools.partial(self._branch, done=done)

    def _branch(self, node: Any, inputs: Literals, scope: Scope, done: Mapping[str, Literals]) -> Literals:
        return self._node(chosen(node, inputs), done, scope.inside(node.id, 0))

    def _subworkflow(self, node: Any, inputs: Literals, scope: Scope) -> Literals:
        template = scope.workflows[node.workflow_node.sub_workflow_ref.name]
        return self._workflow(template, inputs, scope.inside(node.id, 0))

    def _task(self, node: Any, inputs: Literals, scope: Scope) -> Literals:
        template = task_of(node, scope)
        path = scope.child(node.id)
        futures = self._before.futures.get(path)
        key = cache_key(template, inputs)
        pod = Pod(template.id.name, path, None, 0, scope.depth, inputs)
        if futures is None and (found := self.lookup(key, pod)) is not None:
            return found
        if futures is None:
            pod = self.attempts(node, pod, template, scope.data(node.id), scope.data(node.id) / "inputs.pb")
            if pod.outcome not in (Outcome.SUCCEEDED, Outcome.DYNAMIC):
                raise ExecutionFailed(path, pod.task, pod.message)
            if pod.outcome is Outcome.DYNAMIC:
                read_futures(pod.metadata / "futures.pb")
                futures = (pod.metadata / "futures.pb").read_bytes()
        outputs = (
            read_outputs(pod.metadata)
            if futures is None
            else self._dynamic(node, template, futures, inputs, scope, pod)
        )
        self.store(key, outputs)
        return outputs

    def _dynamic(self, node: Any, template: Any, futures: bytes, inputs: Literals, scope: Scope, pod: Pod) -> Literals:
        self.finished.futures[pod.path] = futures
        job = dynamic_job_pb2.DynamicJobSpec.FromString(futures)
        within = scope.inside(
            node.id,
            pod.attempt,
            depth=scope.depth + 1,
            tasks={task.id.name: task for task in job.tasks},
            workflows={each.id.name: each for each in job.subworkflows},
        )
        check_graph(job, template, pod, within)
        outputs = self._graph(job.nodes, job.outputs, inputs, within)
        write_literals(scope.data(node.id) / str(pod.attempt) / "outputs.pb", outputs)
        return outputs

    def lookup(self, key: tuple[str, ...] | None, pod: Pod) -> Literals | None:
        """Return what the cache has for a call, and record a hit."""
        found = self.cache.get(key) if key else None
        if found is not None:
            pod.outcome = Outcome.HIT
            with self._lock:
                self.hits.append(pod)
        return found

    def store(self, key: tuple[str, ...] | None, outputs: Literals) -> None:
        """Write the outputs of a finished call to the cache, if it has a key."""
        if key and outputs:
            self.cache.put(key, outputs)

    def attempts(self, node: Any, first: Pod, template: Any, data: Path, inputs: Path) -> Pod:
        """Run the pods of a node, or of an array's element, until one succeeds or no retry is left.

        Args:
            node: the protobuf of the node that holds the task.
            first: the record of the first attempt.
            template: the task's protobuf.
            data: the folder that holds a folder for each attempt.
            inputs: the file with the inputs.

        Returns:
            The last attempt's record.
        """
        self.templates[template.id.name] = template
        retries = node.metadata.retries.retries or template.metadata.retries.retries
        timeout = node.metadata.timeout if node.metadata.timeout.ToNanoseconds() else template.metadata.timeout
        limit = timeout.ToNanoseconds() / 1e9 or math.inf
        failures = {True: 0, False: 0}
        allowed = {True: self.system_retries, False: retries}
        pod, previous = first, None
        while True:
            with self._workers.slot():
                self._admit(pod, data)
                execute(pod, template, inputs, previous, self._place, limit)
            for file in pod.metadata.iterdir():
                self.note_key(file)
            if pod.outcome not in (Outcome.KILLED, Outcome.RECOVERABLE):
                return pod
            failures[pod.system] += 1
            if failures[pod.system] > allowed[pod.system]:
                return pod
            previous = pod
            pod = Pod(pod.task, pod.path, pod.index, pod.attempt + 1, pod.depth, pod.inputs)

    def _admit(self, pod: Pod, data: Path) -> None:
        pod.metadata = data / str(pod.attempt)
        with self._lock:
            pod.folder = self.root / "pods" / self._place.name / str(len(self.pods))
            self.pods.append(pod)
            pod.fault, pod.delay = self.faults(pod), self.delays(pod)
        if pod.fault in (Fault.DROP, Fault.NULL) and pod.index is None:
            raise ValueError(f"{pod.fault} is for an array's element, but got {pod}")

    def note_key(self, path: Path) -> None:
        """Remember the key of an object if it is the longest so far, and the size of a message if it is the largest."""
        key = str(path.relative_to(self.root / "metadata"))
        with self._lock:
            self.longest_key = max(self.longest_key, key, key=len)
            if path.suffix == ".pb":
                self.largest = max(self.largest, path.stat().st_size)

    def map(self, run: Callable[[int], Any], size: int, parallelism: int) -> list[Any]:
        """Run something for each index of an array, at most `parallelism` at once (0: no limit), in order."""
        return self._workers.map(run, size, parallelism)
