"""Resolve the interface of a node of any kind: task, workflow, launch plan, branch, gate or array.

Source: ``validators/interface.go``.
"""

from __future__ import annotations

from typing import Any

from flyteidl.core import interface_pb2 as interfaces

from flyteoptuna.testing.compiler.branches import bound_variables, branch_nodes, check_branch_structure, common_outputs
from flyteoptuna.testing.compiler.nodes import (
    CompiledGraph,
    CompiledNode,
    Interface,
    declared_interface,
    identifier_key,
)
from flyteoptuna.testing.compiler.problems import ProblemCollector


def check_interface(node: str, interface: Interface, problems: ProblemCollector) -> None:
    """Check that each variable of an interface has a name and a type."""
    for variables in (interface.inputs, interface.outputs):
        for name, variable in variables.items():
            if not name:
                problems.add_missing_value(node, "paramName")
            if not variable.HasField("type"):
                problems.add_missing_value(node, "param.Type")


def resolve_interface(graph: CompiledGraph, node: CompiledNode, problems: ProblemCollector) -> Interface | None:
    """Return a node's interface, and set it on the node if there is no error."""
    if node.interface is not None:
        return node.interface
    interface = _target_interface(graph, node, problems)
    if interface is not None:
        check_interface(node.id, interface, problems.nested())
    if problems.ok:
        node.interface = interface
    return interface


def _target_interface(graph: CompiledGraph, node: CompiledNode, problems: ProblemCollector) -> Interface | None:
    match node.proto.WhichOneof("target"):
        case "task_node":
            return _task_interface(graph, node, problems)
        case "workflow_node":
            return _workflow_interface(graph, node, problems)
        case "branch_node":
            return _branch_interface(graph, node, problems.nested())
        case "gate_node":
            return _gate_interface(graph, node, problems)
        case "array_node":
            # The interface of flytekit's map task already has the lists.
            return resolve_interface(graph, node.element, problems.nested())
        case _:
            problems.add_missing_value(node.id, "Target")
            return None


def _task_interface(graph: CompiledGraph, node: CompiledNode, problems: ProblemCollector) -> Interface | None:
    if not node.proto.task_node.HasField("reference_id"):
        problems.add_missing_value(node.id, "TaskNode.ReferenceId")
        return None
    return declared_interface(graph.tasks[identifier_key(node.proto.task_node.reference_id)].interface)


def _workflow_interface(graph: CompiledGraph, node: CompiledNode, problems: ProblemCollector) -> Interface | None:
    kind = node.proto.workflow_node.WhichOneof("reference")
    if kind is None:
        problems.add("WorkflowReferenceNotFound", node.id, "Referenced Workflow [<nil>/<nil>] not found.")
        return None
    reference = getattr(node.proto.workflow_node, kind)
    if kind == "sub_workflow_ref":
        return declared_interface(graph.workflows[identifier_key(reference)].interface)
    if reference == graph.template.id:
        return declared_interface(graph.template.interface)
    return _launch_plan_interface(graph.launch_plans[identifier_key(reference)], node, problems)


def _launch_plan_interface(plan: Any, node: CompiledNode, problems: ProblemCollector) -> Interface:
    """Required inputs of a launch plan, the optional ones that the node binds, and its outputs."""
    for name in ("inputs", "outputs"):
        if not plan.closure.HasField(f"expected_{name}"):
            problems.add_missing_value(node.id, f"WorkflowNode.Expected{name.capitalize()}")
    bound = {binding.var for binding in node.proto.inputs}
    inputs = {
        name: parameter.var
        for name, parameter in plan.closure.expected_inputs.parameters.items()
        if parameter.required or name in bound
    }
    return Interface(inputs, dict(plan.closure.expected_outputs.variables))


def _branch_interface(graph: CompiledGraph, node: CompiledNode, problems: ProblemCollector) -> Interface | None:
    check_branch_structure(node, problems)
    if not node.cases or node.cases[0][1] is None:
        return None
    branch_interfaces = []
    for branch in branch_nodes(node):
        branch.id = f"{node.id}-{branch.id}"
        nested = problems.nested()
        interface = resolve_interface(graph, branch, nested)
        if nested.ok and interface is not None:
            branch_interfaces.append(interface)
    outputs = common_outputs(node, branch_interfaces, problems)
    inputs = bound_variables(graph, node, problems)
    return Interface(inputs, outputs) if problems.ok and branch_interfaces else None


def _gate_interface(graph: CompiledGraph, node: CompiledNode, problems: ProblemCollector) -> Interface | None:
    gate = node.proto.gate_node
    match gate.WhichOneof("condition"):
        case "approve":
            # The outputs of an approved gate are its inputs.
            variables = bound_variables(graph, node, problems)
            return Interface(variables, variables)
        case "signal" if not gate.signal.HasField("type"):
            problems.add_missing_value(node.id, "GateNode.Signal.Type")
        case "signal" if not gate.signal.output_variable_name:
            problems.add_missing_value(node.id, "GateNode.Signal.OutputVariableName")
        case "signal":
            return Interface({}, {gate.signal.output_variable_name: interfaces.Variable(type=gate.signal.type)})
        case "sleep":
            return Interface()
        case _:
            problems.add("NoConditionFound", node.id, f"Can't find any condition in gate node [{node.id}].")
    return None
