"""Conditionals: which node of a branch is run (`nodes/branch` of flytepropeller)."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from flyteidl.core import condition_pb2
from flyteidl.core import literals_pb2 as pb

from flyteoptuna.testing.pods.literals import Literals, UnresolvedBinding

_COMPARISONS: dict[int, Callable[[Any, Any], bool]] = {
    condition_pb2.ComparisonExpression.EQ: operator.eq,
    condition_pb2.ComparisonExpression.NEQ: operator.ne,
    condition_pb2.ComparisonExpression.GT: operator.gt,
    condition_pb2.ComparisonExpression.GTE: operator.ge,
    condition_pb2.ComparisonExpression.LT: operator.lt,
    condition_pb2.ComparisonExpression.LTE: operator.le,
}
_OF_ANY = (condition_pb2.ComparisonExpression.EQ, condition_pb2.ComparisonExpression.NEQ)


def chosen(node: Any, inputs: Literals) -> Any:
    """Return the node that a branch node runs.

    Args:
        node: the branch node.
        inputs: the values that its conditions name.

    Raises:
        UnresolvedBinding: a condition names no value, or compares what cannot be compared; or the branch itself fails.
    """
    block = node.branch_node.if_else
    for case in (block.case, *block.other):
        if _holds(case.condition, inputs):
            return case.then_node
    if block.WhichOneof("default") == "else_node":
        return block.else_node
    raise UnresolvedBinding(block.error.message)


def _holds(expression: Any, inputs: Literals) -> bool:
    if expression.WhichOneof("expr") == "comparison":
        return _compared(expression.comparison, inputs)
    both = expression.conjunction
    left = _holds(both.left_expression, inputs)
    right = _holds(both.right_expression, inputs)
    return (left and right) if both.operator == condition_pb2.ConjunctionExpression.AND else (left or right)


def _compared(comparison: Any, inputs: Literals) -> bool:
    (left_kind, left), (right_kind, right) = (
        _operand(side, inputs) for side in (comparison.left_value, comparison.right_value)
    )
    of_any = comparison.operator in _OF_ANY
    if of_any and "none_type" in (left_kind, right_kind):
        return bool((left_kind == right_kind) == (comparison.operator == condition_pb2.ComparisonExpression.EQ))
    if left_kind != right_kind:
        raise UnresolvedBinding(f"Comparison between different primitives types: {left_kind} and {right_kind}")
    if left_kind in ("boolean", "none_type") and not of_any:
        raise UnresolvedBinding(f"Values of type {left_kind} have no order")
    return bool(_COMPARISONS[comparison.operator](left, right))


def _operand(operand: Any, inputs: Literals) -> tuple[str, Any]:
    """Return the kind of an operand's value, and the value."""
    kind = operand.WhichOneof("val")
    if kind == "primitive":
        scalar = pb.Scalar(primitive=operand.primitive)
    elif kind == "scalar":
        scalar = operand.scalar
    elif operand.var in inputs:
        scalar = inputs[operand.var].scalar
    else:
        raise UnresolvedBinding(f"Failed to find Value for Variable [{operand.var}]")
    while scalar.HasField("union"):
        scalar = scalar.union.value.scalar
    if scalar.HasField("none_type"):
        return "none_type", None
    if not scalar.HasField("primitive"):
        raise UnresolvedBinding(f"Expected primitive value for [{operand.var}], got {scalar.WhichOneof('value')}")
    primitive = scalar.primitive
    name = str(primitive.WhichOneof("value"))
    value = getattr(primitive, name)
    return name, (value.ToNanoseconds() if name in ("datetime", "duration") else value)
