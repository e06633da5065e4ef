"""The compiled graph of a workflow as text that a person can read and compare."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import msgpack
from flyteidl.core import types_pb2
from flytekit.models.task import TaskSpec
from flytekit.tools.translator import get_serializable

from flyteoptuna.testing.engine.engine import SETTINGS


def text_of(workflow: Any) -> str:
    """Nodes with their bindings, outputs, and the tasks with their interfaces and the arguments of their containers."""
    entities: OrderedDict[Any, Any] = OrderedDict()
    spec = get_serializable(entities, SETTINGS, workflow).to_flyte_idl()
    tasks = [model.to_flyte_idl().template for model in entities.values() if isinstance(model, TaskSpec)]
    return "\n".join([*workflow_lines(spec.template), *(line for task in tasks for line in task_lines(task))]) + "\n"


def workflow_lines(template: Any) -> Iterator[str]:
    yield f"workflow {template.id.name}"
    yield from _interface(template.interface)
    for node in template.nodes:
        after = sorted(name for name in node.upstream_node_ids if name != "start-node")
        if node.id in ("start-node", "end-node"):
            continue
        yield f"  node {node.id}: {node.task_node.reference_id.name}" + (f"  after {', '.join(after)}" if after else "")
        yield from (f"    {b.var} = {_binding(b.binding)}" for b in node.inputs)
    yield from (f"  output {b.var} = {_binding(b.binding)}" for b in template.outputs)


def task_lines(template: Any) -> Iterator[str]:
    yield ""
    yield f"task {template.id.name}"
    yield from _interface(template.interface)
    args = list(template.container.args)
    start = args.index("--resolver") if "--resolver" in args else len(args)
    yield f"  {' '.join(args[start:])}"


def _interface(interface: Any) -> Iterator[str]:
    for kind, variables in (("in", interface.inputs.variables), ("out", interface.outputs.variables)):
        yield from (f"  {kind} {name}: {_type(variables[name].type)}" for name in sorted(variables))


def _type(kind: Any) -> str:
    match kind.WhichOneof("type"):
        case "simple" if "." in kind.structure.tag:
            return str(kind.structure.tag)
        case "simple" if kind.structure.dataclass_type:
            fields = sorted(kind.structure.dataclass_type.items())
            return f"struct({', '.join(f'{name}: {_type(field)}' for name, field in fields)})"
        case "simple":
            return str(types_pb2.SimpleType.Name(kind.simple)).lower()
        case "collection_type":
            return f"[{_type(kind.collection_type)}]"
        case "map_value_type":
            return f"{{{_type(kind.map_value_type)}}}"
        case "union_type":
            return " | ".join(map(_type, kind.union_type.variants))
        case other:
            return str(other)


def _binding(binding: Any) -> str:
    match binding.WhichOneof("value"):
        case "promise":
            path = "".join(f".{step.string_value or step.int_value}" for step in binding.promise.attr_path)
            return f"{binding.promise.node_id or 'inputs'}.{binding.promise.var}{path}"
        case "collection":
            return f"[{', '.join(map(_binding, binding.collection.bindings))}]"
        case "map":
            items = sorted(binding.map.bindings.items())
            return "{" + ", ".join(f"{key}: {_binding(value)}" for key, value in items) + "}"
        case _:
            return _scalar(binding.scalar)


def _scalar(scalar: Any) -> str:
    match scalar.WhichOneof("value"):
        case "primitive":
            return repr(getattr(scalar.primitive, scalar.primitive.WhichOneof("value")))
        case "none_type":
            return "None"
        case "union":
            return _scalar(scalar.union.value.scalar)
        case "binary":
            found = msgpack.loads(scalar.binary.value, strict_map_key=False)
            return "<study>" if isinstance(found, dict) and "_data" in found else repr(found)
        case other:
            return f"<{other}>"
