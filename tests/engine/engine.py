"""Runs a workflow from its protobufs, each task by its own container command in a process of its own."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path

import msgpack
from flyteidl.core import dynamic_job_pb2, literals_pb2
from flytekit.configuration import ImageConfig, SerializationSettings
from flytekit.tools.translator import get_serializable

SETTINGS = SerializationSettings(
    project="p", domain="d", version="v", image_config=ImageConfig.auto(img_name="registry/image:tag")
)
NONE = literals_pb2.Literal(scalar=literals_pb2.Scalar(none_type=literals_pb2.Void()))


class PodFailed(RuntimeError):
    """A pod that ended without outputs, with what it printed."""


@dataclass
class Engine:
    """Follows the nodes of a workflow as Flyte does, and counts.

    Args:
        root: an empty folder; every pod gets one below it.
        code: the folder with the user's module, on every pod's path.
        kill: names of pods, `task name` and `#index` for one of a map, that die before they do anything.
    """

    root: Path
    code: Path
    kill: set[str] = field(default_factory=set)
    pods: list[str] = field(default_factory=list)
    depth: int = 0
    _tasks: dict = field(default_factory=dict)

    def run(self, workflow, inputs: dict) -> dict:
        """Run a workflow with literal inputs and return its output literals."""
        entities: OrderedDict = OrderedDict()
        spec = get_serializable(entities, SETTINGS, workflow).to_flyte_idl()
        for model in entities.values():
            if hasattr(model, "template") and hasattr(model.template, "container"):
                self._tasks[model.template.id.name] = model.template.to_flyte_idl()
        return self._graph(spec.template.nodes, spec.template.outputs, inputs, 0)

    def _graph(self, nodes, outputs, inputs, level):
        self.depth = max(self.depth, level)
        done = {"start-node": inputs, "": inputs}
        waiting = {node.id: node for node in nodes if node.id not in ("start-node", "end-node")}
        while waiting:
            ready = [n for n in waiting.values() if set(n.upstream_node_ids) <= set(done)]
            for node in ready:
                bound = {b.var: self._bind(b.binding, done) for b in node.inputs}
                run = self._map if node.HasField("array_node") else self._task
                done[node.id] = run(node, bound, level)
                del waiting[node.id]
        return {b.var: self._bind(b.binding, done) for b in outputs}

    def _bind(self, binding, done):
        kind = binding.WhichOneof("value")
        if kind == "promise":
            literal = done[binding.promise.node_id][binding.promise.var]
            for step in binding.promise.attr_path:
                literal = _attribute(literal, step.string_value or step.int_value)
            return literal
        if kind == "scalar":
            return literals_pb2.Literal(scalar=binding.scalar)
        if kind == "map":
            items = {k: self._bind(b, done) for k, b in binding.map.bindings.items()}
            return literals_pb2.Literal(map=literals_pb2.LiteralMap(literals=items))
        items = [self._bind(b, done) for b in binding.collection.bindings]
        return literals_pb2.Literal(collection=literals_pb2.LiteralCollection(literals=items))

    def _task(self, node, inputs, level):
        return self._execute(node.task_node.reference_id.name, inputs, level)

    def _map(self, node, inputs, level):
        name = node.array_node.node.task_node.reference_id.name
        size = len(inputs["trial_number"].collection.literals)
        results, failures = [], 0
        for index in range(size):
            try:
                results.append(self._execute(name, inputs, level, index)["o0"])
            except PodFailed:
                failures += 1
                results.append(NONE)
        if size - failures < math.ceil(node.array_node.min_success_ratio * size):
            raise PodFailed(f"{name}: {failures} of {size} failed")
        return {"o0": literals_pb2.Literal(collection=literals_pb2.LiteralCollection(literals=results))}

    def _execute(self, name, inputs, level, index=None):
        label = (
            name
            if index is None
            else f"{name}#{inputs['trial_number'].collection.literals[index].scalar.primitive.integer}"
        )
        self.pods.append(label)
        pod = self.root / str(len(self.pods))
        pod.mkdir()
        if any(label.endswith(dead) for dead in self.kill):
            raise PodFailed(label)
        template = self._tasks[name]
        (pod / "inputs.pb").write_bytes(literals_pb2.LiteralMap(literals=inputs).SerializeToString())
        names = {"input": "inputs.pb", "outputPrefix": "", "rawOutputDataPrefix": "raw", "checkpointOutputPrefix": "cp"}
        args = [a.replace("{{.prevCheckpointPrefix}}", "") for a in template.container.args]
        for key, path in names.items():
            args = [a.replace("{{." + key + "}}", str(pod / path)) for a in args]
        env = {**os.environ, **{e.key: e.value for e in template.container.env}, "PYTHONPATH": str(self.code)}
        if index is not None:
            env.update(BATCH_JOB_ARRAY_INDEX_VAR_NAME="ARRAY_INDEX", ARRAY_INDEX=str(index))
        command = [str(Path(sys.executable).parent / args[0]), *args[1:]]
        result = subprocess.run(command, env=env, cwd=pod, capture_output=True, text=True)
        if (pod / "futures.pb").exists():
            job = dynamic_job_pb2.DynamicJobSpec.FromString((pod / "futures.pb").read_bytes())
            self._tasks.update({t.id.name: t for t in job.tasks})
            return self._graph(job.nodes, job.outputs, inputs, level + 1)
        if not (pod / "outputs.pb").exists() or (pod / "error.pb").exists():
            raise PodFailed(f"{label}\n{result.stdout}\n{result.stderr}")
        return dict(literals_pb2.LiteralMap.FromString((pod / "outputs.pb").read_bytes()).literals)


def _attribute(literal, step):
    if literal.HasField("collection"):
        return literal.collection.literals[step]
    value = msgpack.loads(literal.scalar.binary.value, strict_map_key=False)[step]
    packed = literals_pb2.Binary(value=msgpack.dumps(value), tag="msgpack")
    if isinstance(value, (dict, list)):
        return literals_pb2.Literal(scalar=literals_pb2.Scalar(binary=packed))
    key = {float: "float_value", int: "integer", str: "string_value"}[type(value)]
    return literals_pb2.Literal(scalar=literals_pb2.Scalar(primitive=literals_pb2.Primitive(**{key: value})))
