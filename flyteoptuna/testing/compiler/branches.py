"""Branch nodes: their conditions, and the outputs that all their branches have.

Source: ``validators/branch.go`` and ``validators/condition.go``.
"""

from __future__ import annotations

from typing import Any

from flyteidl.core import literals_pb2 as pb
from flyteidl.core.types_pb2 import LiteralType

from flyteoptuna.flyte.types.casts import type_of_scalar
from flyteoptuna.testing.compiler.bindings import check_bindings
from flyteoptuna.testing.compiler.nodes import CompiledNode, Graph, Interface, Variables
from flyteoptuna.testing.compiler.problems import Scope


def branch_nodes(node: CompiledNode) -> list[CompiledNode]:
    """Return the nodes of which a branch node runs one."""
    return [each for each in (*(then for _, then in node.cases), node.otherwise) if each is not None]


def branch_outputs(node: CompiledNode, inner: list[Interface], scope: Scope) -> Variables:
    """Return the outputs that all branches have, whose types must be equal.

    Args:
        node: the branch node.
        inner: the interfaces of its branches.
        scope: takes the errors.
    """
    first = inner[0].outputs if inner else {}
    names = set(first)
    for each, interface in zip(branch_nodes(node)[1:], inner[1:], strict=False):
        names &= {*interface.outputs}
        for name in sorted(names):
            found, wanted = first[name].type, interface.outputs[name].type
            if found != wanted:
                scope.mismatching(each.id, name, found, wanted)
    return {name: first[name] for name in sorted(names)}


def check_structure(node: CompiledNode, scope: Scope) -> None:
    """Collect what a branch node lacks before its interface can be known."""
    block = node.proto.branch_node.if_else
    for present, name in (
        (node.proto.branch_node.HasField("if_else"), "Branch.IfElse"),
        (block.HasField("case"), "Branch.IfElse.Case"),
        (block.case.HasField("then_node"), "Branch.IfElse.Case.ThenNode"),
    ):
        if not present:
            scope.required(node.id, name)
            return
    for other in block.other:
        if not other.HasField("then_node"):
            scope.required(node.id, "IfElse.Case.ThenNode")


def bound_variables(graph: Graph, node: CompiledNode, scope: Scope) -> Variables:
    """Return the variables that a branch's conditions can name, and a gate hands on: what is bound to it, whole."""
    return check_bindings(graph, node, node.proto.inputs, {}, scope.inner(), typed=False)


def check_conditions(node: CompiledNode, scope: Scope) -> None:
    """Check the conditions of a branch node, and that one of its branches is run in any case."""
    if not node.proto.branch_node.if_else.HasField("case"):
        scope.unconditional(node.id)
    for block, then in node.cases:
        if block.HasField("condition"):
            _check_expression(node, block.condition, scope.inner())
        else:
            scope.unconditional(node.id)
        if then is None:
            scope.add("BranchNodeIdNotFound", node.id, "BranchNode not assigned")
    if node.proto.branch_node.if_else.WhichOneof("default") is None:
        about = "Branch Node must have either the else case set or a default error."
        scope.add("BranchNodeHasNoDefault", node.id, about)


def _check_expression(node: CompiledNode, expression: Any, scope: Scope) -> None:
    match expression.WhichOneof("expr"):
        case "comparison":
            comparison = expression.comparison
            right = _operand(node, "RightValue", comparison, "right_value", scope.inner())
            left = _operand(node, "LeftValue", comparison, "left_value", scope.inner())
            if right is not None and left is not None and right != left:
                scope.mismatching(node.id, "RightValue", right, left)
        case "conjunction":
            for side in ("left_expression", "right_expression"):
                if expression.conjunction.HasField(side):
                    _check_expression(node, getattr(expression.conjunction, side), scope.inner())
                else:
                    scope.unconditional(node.id)
        case _:
            scope.required(node.id, "Expr")


def _operand(node: CompiledNode, name: str, comparison: Any, side: str, scope: Scope) -> LiteralType | None:
    """The type of one side of a comparison; None where it is not known."""
    operand = getattr(comparison, side)
    if not comparison.HasField(side):
        scope.required(node.id, name)
    elif operand.WhichOneof("val") == "primitive":
        return type_of_scalar(pb.Scalar(primitive=operand.primitive))
    elif not operand.var:
        scope.required(node.id, f"{name}.Val")
    elif node.interface is None:
        scope.required(node.id, operand.var)
    elif operand.var in node.interface.inputs:
        return node.interface.inputs[operand.var].type
    elif operand.var not in {binding.var for binding in node.proto.inputs}:
        scope.unknown(node.id, operand.var)
    return None
