"""Check branch nodes: their conditions and the outputs that all branches have in common.

Source: ``validators/branch.go`` and ``validators/condition.go``.
"""

from __future__ import annotations

from typing import Any

from flyteidl.core import literals_pb2 as pb
from flyteidl.core.types_pb2 import LiteralType

from flyteoptuna.flyte.types.casts import infer_scalar_type
from flyteoptuna.testing.compiler.bindings import check_bindings
from flyteoptuna.testing.compiler.nodes import CompiledGraph, CompiledNode, Interface, Variables
from flyteoptuna.testing.compiler.problems import ProblemCollector


def branch_nodes(node: CompiledNode) -> list[CompiledNode]:
    """Return the nodes of all branches."""
    return [branch for branch in (*(then for _, then in node.cases), node.otherwise) if branch is not None]


def common_outputs(node: CompiledNode, interfaces: list[Interface], problems: ProblemCollector) -> Variables:
    """Return the outputs that all branches have in common. Their types must be equal.

    Args:
        node: the branch node.
        interfaces: the interfaces of its branches.
        problems: collects the errors.
    """
    first = interfaces[0].outputs if interfaces else {}
    names = set(first)
    for branch, interface in zip(branch_nodes(node)[1:], interfaces[1:], strict=False):
        names &= {*interface.outputs}
        for name in sorted(names):
            actual, expected = first[name].type, interface.outputs[name].type
            if actual != expected:
                problems.add_type_mismatch(branch.id, name, actual, expected)
    return {name: first[name] for name in sorted(names)}


def check_branch_structure(node: CompiledNode, problems: ProblemCollector) -> None:
    """Collect the missing parts of a branch node, without which it has no interface."""
    block = node.proto.branch_node.if_else
    for present, name in (
        (node.proto.branch_node.HasField("if_else"), "Branch.IfElse"),
        (block.HasField("case"), "Branch.IfElse.Case"),
        (block.case.HasField("then_node"), "Branch.IfElse.Case.ThenNode"),
    ):
        if not present:
            problems.add_missing_value(node.id, name)
            return
    for other in block.other:
        if not other.HasField("then_node"):
            problems.add_missing_value(node.id, "IfElse.Case.ThenNode")


def bound_variables(graph: CompiledGraph, node: CompiledNode, problems: ProblemCollector) -> Variables:
    """Return the variables bound to a branch or gate node, with the types of their bindings."""
    return check_bindings(graph, node, node.proto.inputs, {}, problems.nested(), typed=False)


def check_branch_conditions(node: CompiledNode, problems: ProblemCollector) -> None:
    """Check the conditions of a branch node, and that it has a default."""
    if not node.proto.branch_node.if_else.HasField("case"):
        problems.add_missing_condition(node.id)
    for block, then in node.cases:
        if block.HasField("condition"):
            _check_expression(node, block.condition, problems.nested())
        else:
            problems.add_missing_condition(node.id)
        if then is None:
            problems.add("BranchNodeIdNotFound", node.id, "BranchNode not assigned")
    if node.proto.branch_node.if_else.WhichOneof("default") is None:
        about = "Branch Node must have either the else case set or a default error."
        problems.add("BranchNodeHasNoDefault", node.id, about)


def _check_expression(node: CompiledNode, expression: Any, problems: ProblemCollector) -> None:
    match expression.WhichOneof("expr"):
        case "comparison":
            comparison = expression.comparison
            right = _operand_type(node, "RightValue", comparison, "right_value", problems.nested())
            left = _operand_type(node, "LeftValue", comparison, "left_value", problems.nested())
            if right is not None and left is not None and right != left:
                problems.add_type_mismatch(node.id, "RightValue", right, left)
        case "conjunction":
            for side in ("left_expression", "right_expression"):
                if expression.conjunction.HasField(side):
                    _check_expression(node, getattr(expression.conjunction, side), problems.nested())
                else:
                    problems.add_missing_condition(node.id)
        case _:
            problems.add_missing_value(node.id, "Expr")


def _operand_type(
    node: CompiledNode, name: str, comparison: Any, side: str, problems: ProblemCollector
) -> LiteralType | None:
    """Type of one side of a comparison; None if it is unknown."""
    operand = getattr(comparison, side)
    if not comparison.HasField(side):
        problems.add_missing_value(node.id, name)
    elif operand.WhichOneof("val") == "primitive":
        return infer_scalar_type(pb.Scalar(primitive=operand.primitive))
    elif not operand.var:
        problems.add_missing_value(node.id, f"{name}.Val")
    elif node.interface is None:
        problems.add_missing_value(node.id, operand.var)
    elif operand.var in node.interface.inputs:
        return node.interface.inputs[operand.var].type
    elif operand.var not in {binding.var for binding in node.proto.inputs}:
        problems.add_unknown_variable(node.id, operand.var)
    return None
