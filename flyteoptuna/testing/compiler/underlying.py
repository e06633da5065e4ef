"""The interface of a node: of the task, workflow, launch plan, branch, gate or map that it is.

Source: ``validators/interface.go``.
"""

from __future__ import annotations

from typing import Any

from flyteidl.core import interface_pb2 as interfaces

from flyteoptuna.testing.compiler.branches import bound_variables, branch_nodes, branch_outputs, check_structure
from flyteoptuna.testing.compiler.nodes import CompiledNode, Graph, Interface, interface_of, key
from flyteoptuna.testing.compiler.problems import Scope, text


def check_interface(node: str, interface: Interface, scope: Scope) -> None:
    """Check that each variable of an interface has a name and a type."""
    for variables in (interface.inputs, interface.outputs):
        for name, variable in variables.items():
            if not name:
                scope.required(node, "paramName")
            if not variable.HasField("type"):
                scope.required(node, "param.Type")


def find_interface(graph: Graph, node: CompiledNode, scope: Scope) -> Interface | None:
    """Return a node's interface, and keep it with the node where there is no error."""
    if node.interface is not None:
        return node.interface
    found = _found(graph, node, scope)
    if found is not None:
        check_interface(node.id, found, scope.inner())
    if scope.ok:
        node.interface = found
    return found


def _found(graph: Graph, node: CompiledNode, scope: Scope) -> Interface | None:
    proto = node.proto
    match proto.WhichOneof("target"):
        case "task_node":
            return _of_task(graph, node, scope)
        case "workflow_node":
            return _of_workflow(graph, node, scope)
        case "branch_node":
            return _of_branch(graph, node, scope.inner())
        case "gate_node":
            return _of_gate(graph, node, scope)
        case "array_node":
            # Of flytekit's map tasks, the task itself has the lists in its interface.
            return find_interface(graph, node.element, scope.inner())
        case _:
            scope.required(node.id, "Target")
            return None


def _of_task(graph: Graph, node: CompiledNode, scope: Scope) -> Interface | None:
    if not node.proto.task_node.HasField("reference_id"):
        scope.required(node.id, "TaskNode.ReferenceId")
        return None
    reference = node.proto.task_node.reference_id
    task = graph.tasks.get(key(reference))
    if task is None:
        scope.add("TaskReferenceNotFound", node.id, f"Referenced Task [{text(reference)}] not found.")
        return None
    return interface_of(task.interface)


def _of_workflow(graph: Graph, node: CompiledNode, scope: Scope) -> Interface | None:
    kind = node.proto.workflow_node.WhichOneof("reference")
    if kind is None:
        scope.add("WorkflowReferenceNotFound", node.id, "Referenced Workflow [<nil>/<nil>] not found.")
        return None
    reference = getattr(node.proto.workflow_node, kind)
    if kind == "launchplan_ref" and reference == graph.template.id:
        return interface_of(graph.template.interface)
    known = graph.launch_plans if kind == "launchplan_ref" else graph.workflows
    found = known.get(key(reference))
    if found is None:
        scope.add("WorkflowReferenceNotFound", node.id, f"Referenced Workflow [{text(reference)}] not found.")
        return None
    return _of_launch_plan(found, node, scope) if kind == "launchplan_ref" else interface_of(found.interface)


def _of_launch_plan(plan: Any, node: CompiledNode, scope: Scope) -> Interface:
    """The inputs that a launch plan needs, and those of its others that the node gives."""
    for name in ("inputs", "outputs"):
        if not plan.closure.HasField(f"expected_{name}"):
            scope.required(node.id, f"WorkflowNode.Expected{name.capitalize()}")
    given = {binding.var for binding in node.proto.inputs}
    inputs = {
        name: parameter.var
        for name, parameter in plan.closure.expected_inputs.parameters.items()
        if parameter.required or name in given
    }
    return Interface(inputs, dict(plan.closure.expected_outputs.variables))


def _of_branch(graph: Graph, node: CompiledNode, scope: Scope) -> Interface | None:
    check_structure(node, scope)
    if node.cases[:1] == [] or node.cases[0][1] is None:
        return None
    inner = []
    for each in branch_nodes(node):
        each.id = f"{node.id}-{each.id}"
        step = scope.inner()
        interface = find_interface(graph, each, step)
        if step.ok and interface is not None:
            inner.append(interface)
    outputs = branch_outputs(node, inner, scope)
    inputs = bound_variables(graph, node, scope)
    return Interface(inputs, outputs) if scope.ok and inner else None


def _of_gate(graph: Graph, node: CompiledNode, scope: Scope) -> Interface | None:
    gate = node.proto.gate_node
    match gate.WhichOneof("condition"):
        case "approve":
            # An approved gate hands on what it is given.
            through = bound_variables(graph, node, scope)
            return Interface(through, through)
        case "signal" if not gate.signal.HasField("type"):
            scope.required(node.id, "GateNode.Signal.Type")
        case "signal" if not gate.signal.output_variable_name:
            scope.required(node.id, "GateNode.Signal.OutputVariableName")
        case "signal":
            return Interface({}, {gate.signal.output_variable_name: interfaces.Variable(type=gate.signal.type)})
        case "sleep":
            return Interface()
        case _:
            about = f"Can't find any condition in gate node [{node.id}]."
            scope.add("NoConditionFound", node.id, about)
    return None
