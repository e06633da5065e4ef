"""Short ways to write the protobufs of types, bindings, tasks, nodes and workflows."""

import copy
import zlib
from collections.abc import Iterable
from typing import Any, NamedTuple

from flyteidl.admin.launch_plan_pb2 import LaunchPlan, LaunchPlanClosure
from flyteidl.core import interface_pb2, literals_pb2, tasks_pb2, types_pb2, workflow_pb2
from flyteidl.core.identifier_pb2 import LAUNCH_PLAN, TASK, WORKFLOW, Identifier
from google.protobuf.json_format import ParseDict

_TASKS: dict[str, tasks_pb2.TaskTemplate] = {}


class Parts(NamedTuple):
    """A workflow with all that it refers to, as a compiler is given them."""

    workflow: workflow_pb2.WorkflowTemplate
    subworkflows: list[workflow_pb2.WorkflowTemplate]
    tasks: list[tasks_pb2.TaskTemplate]
    launch_plans: list[LaunchPlan]

    @property
    def nodes(self) -> Any:
        """The nodes of the workflow."""
        return self.workflow.nodes

    @property
    def outputs(self) -> Any:
        """The bindings of the workflow's outputs."""
        return self.workflow.outputs

    @property
    def inputs(self) -> Any:
        """The workflow's input variables by name."""
        return self.workflow.interface.inputs.variables


# Types


def simple(name: str, tag: str = "") -> types_pb2.LiteralType:
    """Return a simple type, with a tag if one is given."""
    kind = types_pb2.LiteralType(simple=types_pb2.SimpleType.Value(name))
    if tag:
        kind.structure.tag = tag
    return kind


NONE, INTEGER, FLOAT, STRING, BOOLEAN, DATETIME, DURATION, BINARY, STRUCT = map(
    simple, ("NONE", "INTEGER", "FLOAT", "STRING", "BOOLEAN", "DATETIME", "DURATION", "BINARY", "STRUCT")
)
UNTYPED = types_pb2.LiteralType()


def list_of(kind: types_pb2.LiteralType) -> types_pb2.LiteralType:
    """Return the type of a list."""
    return types_pb2.LiteralType(collection_type=kind)


def map_of(kind: types_pb2.LiteralType) -> types_pb2.LiteralType:
    """Return the type of a dictionary with texts as keys."""
    return types_pb2.LiteralType(map_value_type=kind)


def union_of(*kinds: types_pb2.LiteralType) -> types_pb2.LiteralType:
    """Return the type of a union."""
    return types_pb2.LiteralType(union_type=types_pb2.UnionType(variants=kinds))


def enum_of(*values: str) -> types_pb2.LiteralType:
    """Return the type of an enum."""
    return types_pb2.LiteralType(enum_type=types_pb2.EnumType(values=values))


def blob_of(kind: str = "") -> types_pb2.LiteralType:
    """Return the type of a file."""
    return types_pb2.LiteralType(blob=types_pb2.BlobType(format=kind))


def dataset_of(**columns: types_pb2.LiteralType) -> types_pb2.LiteralType:
    """Return the type of a structured dataset."""
    column = types_pb2.StructuredDatasetType.DatasetColumn
    pairs = [column(name=name, literal_type=kind) for name, kind in columns.items()]
    return types_pb2.LiteralType(structured_dataset_type=types_pb2.StructuredDatasetType(columns=pairs))


def fields(**kinds: types_pb2.LiteralType) -> types_pb2.LiteralType:
    """Return a struct whose fields have types, and no JSON schema."""
    kind = types_pb2.LiteralType(simple=types_pb2.SimpleType.STRUCT)
    for name, each in kinds.items():
        kind.structure.dataclass_type[name].CopyFrom(each)
    return kind


OPTIONAL = union_of(INTEGER, NONE)

# Bindings


def scalar(**words: Any) -> literals_pb2.BindingData:
    """Return the binding of a scalar, given as JSON."""
    return literals_pb2.BindingData(scalar=ParseDict(words, literals_pb2.Scalar()))


def primitive(**words: Any) -> literals_pb2.BindingData:
    """Return the binding of a primitive, given as JSON."""
    return scalar(primitive=words)


ONE, HALF, TEXT, TRUE = (
    primitive(integer=1),
    primitive(floatValue=0.5),
    primitive(stringValue="a"),
    primitive(boolean=True),
)
VOID = scalar(noneType={})


def promise(node: str, var: str = "o0", *path: str | int) -> literals_pb2.BindingData:
    """Return the binding of another node's output, or of something in it."""
    steps = [
        types_pb2.PromiseAttribute(int_value=s) if isinstance(s, int) else types_pb2.PromiseAttribute(string_value=s)
        for s in path
    ]
    return literals_pb2.BindingData(promise=types_pb2.OutputReference(node_id=node, var=var, attr_path=steps))


def listed(*items: literals_pb2.BindingData) -> literals_pb2.BindingData:
    """Return the binding of a list."""
    return literals_pb2.BindingData(collection=literals_pb2.BindingDataCollection(bindings=items))


def mapped(**items: literals_pb2.BindingData) -> literals_pb2.BindingData:
    """Return the binding of a dictionary."""
    return literals_pb2.BindingData(map=literals_pb2.BindingDataMap(bindings=items))


def wrapped(data: literals_pb2.BindingData, kind: types_pb2.LiteralType) -> literals_pb2.BindingData:
    """Return the binding of a scalar inside a union."""
    value = literals_pb2.Literal(scalar=data.scalar)
    return literals_pb2.BindingData(scalar=literals_pb2.Scalar(union=literals_pb2.Union(value=value, type=kind)))


def bindings(items: dict[str, literals_pb2.BindingData]) -> list[literals_pb2.Binding]:
    """Return the bindings of inputs by name."""
    return [literals_pb2.Binding(var=name, binding=data) for name, data in items.items()]


# Tasks, nodes, workflows


def variables(kinds: dict[str, types_pb2.LiteralType]) -> interface_pb2.VariableMap:
    """Return the variables of an interface."""
    return interface_pb2.VariableMap(variables={name: interface_pb2.Variable(type=t) for name, t in kinds.items()})


def interface(inputs: Any, outputs: Any) -> interface_pb2.TypedInterface:
    """Return an interface."""
    return interface_pb2.TypedInterface(inputs=variables(inputs), outputs=variables(outputs))


def identifier(kind: int, name: str) -> Identifier:
    """Return an identifier."""
    return Identifier(resource_type=kind, project="p", domain="d", name=name, version="v")


def task(*, inputs: Any = (), outputs: Any = ()) -> tasks_pb2.TaskTemplate:
    """Return the task with an interface, the same one for the same interface."""
    sides = interface(dict(inputs), dict(outputs))
    text = sides.SerializeToString(deterministic=True).hex()
    name = f"t{zlib.crc32(text.encode()):08x}"
    template = tasks_pb2.TaskTemplate(id=identifier(TASK, name), type="python-task", interface=sides)
    return _TASKS.setdefault(text, template)


def gives(*kinds: types_pb2.LiteralType) -> tasks_pb2.TaskTemplate:
    """Return the task without inputs whose outputs `o0`, `o1`, ... have types."""
    return task(outputs={f"o{i}": kind for i, kind in enumerate(kinds)})


def takes(kind: types_pb2.LiteralType) -> tasks_pb2.TaskTemplate:
    """Return the task with an input `a` of a type, and an output of the same."""
    return task(inputs={"a": kind}, outputs={"o0": kind})


def node(
    name: str, target: Any = None, after: Iterable[str] = (), aliases: Any = (), **inputs: literals_pb2.BindingData
) -> workflow_pb2.Node:
    """Return a node that calls a task, a subworkflow or a launch plan."""
    found = workflow_pb2.Node(id=name, upstream_node_ids=after, inputs=bindings(inputs))
    found.output_aliases.extend(workflow_pb2.Alias(var=var, alias=alias) for var, alias in aliases)
    match target:
        case tasks_pb2.TaskTemplate():
            found.task_node.reference_id.CopyFrom(target.id)
        case Parts():
            found.workflow_node.sub_workflow_ref.CopyFrom(target.workflow.id)
        case LaunchPlan():
            found.workflow_node.launchplan_ref.CopyFrom(target.id)
        case workflow_pb2.GateNode():
            found.gate_node.CopyFrom(target)
        case workflow_pb2.BranchNode():
            found.branch_node.CopyFrom(target)
        case workflow_pb2.Node():
            found.array_node.node.CopyFrom(target)
    return found


def _inside(found: workflow_pb2.Node) -> Iterable[workflow_pb2.Node]:
    yield found
    choice = found.branch_node.if_else
    for each in (choice.case.then_node, *(other.then_node for other in choice.other), choice.else_node):
        if each.ByteSize():
            yield from _inside(each)
    if found.HasField("array_node") and found.array_node.HasField("node"):
        yield from _inside(found.array_node.node)


def flow(
    *nodes: workflow_pb2.Node,
    inputs: Any = (),
    outputs: Any = (),
    name: str = "w",
    calls: Iterable[Parts] = (),
    plans: Iterable[LaunchPlan] = (),
    failure: workflow_pb2.Node | None = None,
) -> Parts:
    """Return a workflow with the tasks that its nodes name.

    Args:
        nodes: its nodes.
        inputs: types by name.
        outputs: pairs of a type and a binding by name.
        name: its name.
        calls: the workflows that it has as subworkflows, with theirs.
        plans: the launch plans that it has.
        failure: the node that runs when another one has failed.
    """
    outputs = dict(outputs)
    sides = interface(dict(inputs), {key: kind for key, (kind, _) in outputs.items()})
    template = workflow_pb2.WorkflowTemplate(id=identifier(WORKFLOW, name), interface=sides, nodes=nodes)
    template.outputs.extend(bindings({key: data for key, (_, data) in outputs.items()}))
    if failure is not None:
        template.failure_node.CopyFrom(failure)
    called = [each.task_node.reference_id.name for top in (*nodes, failure) if top for each in _inside(top)]
    known = {each.id.name: each for each in _TASKS.values()}
    tasks = {key: known[key] for key in called if key in known}
    tasks |= {each.id.name: each for parts in calls for each in parts.tasks}
    subworkflows = {each.id.name: each for parts in calls for each in (parts.workflow, *parts.subworkflows)}
    return copy.deepcopy(Parts(template, list(subworkflows.values()), list(tasks.values()), list(plans)))


def plan(name: str, inputs: Any = (), outputs: Any = ()) -> LaunchPlan:
    """Return a launch plan.

    Args:
        name: its name.
        inputs: types by name, or pairs of a type and a default.
        outputs: types by name.
    """
    closure = LaunchPlanClosure(expected_outputs=variables(dict(outputs)))
    closure.expected_inputs.SetInParent()
    for key, kind in dict(inputs).items():
        parameter = closure.expected_inputs.parameters[key]
        if isinstance(kind, tuple):
            parameter.var.type.CopyFrom(kind[0])
            parameter.default.scalar.CopyFrom(kind[1].scalar)
        else:
            parameter.var.type.CopyFrom(kind)
            parameter.required = True
    return LaunchPlan(id=identifier(LAUNCH_PLAN, name), closure=closure)


# What many cases share

A, B, RED = enum_of("a", "b"), enum_of("b", "c"), enum_of("red", "")
POINT = fields(x=INTEGER, y=FLOAT)
LINE = fields(start=POINT, points=list_of(POINT), names=map_of(STRING), many=list_of(map_of(POINT)))
TAGGED = simple("STRUCT", tag="a")
INT = takes(INTEGER)
EITHER = union_of(INTEGER, STRING)
LISTS = union_of(list_of(INTEGER), list_of(STRING))


def call(kind, data):
    """A workflow whose only node is given one binding."""
    return flow(node("n0", takes(kind), a=data))


def feed(given, kind, *path, var="o0"):
    """A workflow that hands the output of one node to another."""
    return flow(node("n0", gives(given)), node("n1", takes(kind), a=promise("n0", var, *path)))
