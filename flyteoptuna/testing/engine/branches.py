"""Select the branch that a conditional runs (``nodes/branch`` of flytepropeller)."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from flyteidl.core import condition_pb2
from flyteidl.core import literals_pb2 as pb

from flyteoptuna.testing.pods.literals import Literals, UnresolvedBindingError

_COMPARISONS: dict[int, Callable[[Any, Any], bool]] = {
    condition_pb2.ComparisonExpression.EQ: operator.eq,
    condition_pb2.ComparisonExpression.NEQ: operator.ne,
    condition_pb2.ComparisonExpression.GT: operator.gt,
    condition_pb2.ComparisonExpression.GTE: operator.ge,
    condition_pb2.ComparisonExpression.LT: operator.lt,
    condition_pb2.ComparisonExpression.LTE: operator.le,
}
_EQUALITY = (condition_pb2.ComparisonExpression.EQ, condition_pb2.ComparisonExpression.NEQ)


def select_branch(node: Any, inputs: Literals) -> Any:
    """Return the node of the first case whose condition holds, or the default.

    Args:
        node: the branch node.
        inputs: the values of the variables in its conditions.

    Raises:
        UnresolvedBindingError: a condition names an unknown variable or compares values of different types; or the
            default is an error.
    """
    block = node.branch_node.if_else
    for case in (block.case, *block.other):
        if _is_true(case.condition, inputs):
            return case.then_node
    if block.WhichOneof("default") == "else_node":
        return block.else_node
    raise UnresolvedBindingError(block.error.message)


def _is_true(expression: Any, inputs: Literals) -> bool:
    if expression.WhichOneof("expr") == "comparison":
        return _compare(expression.comparison, inputs)
    conjunction = expression.conjunction
    left = _is_true(conjunction.left_expression, inputs)
    right = _is_true(conjunction.right_expression, inputs)
    return (left and right) if conjunction.operator == condition_pb2.ConjunctionExpression.AND else (left or right)


def _compare(comparison: Any, inputs: Literals) -> bool:
    (left_kind, left), (right_kind, right) = (
        _operand_value(side, inputs) for side in (comparison.left_value, comparison.right_value)
    )
    is_equality = comparison.operator in _EQUALITY
    if is_equality and "none_type" in (left_kind, right_kind):
        return bool((left_kind == right_kind) == (comparison.operator == condition_pb2.ComparisonExpression.EQ))
    if left_kind != right_kind:
        raise UnresolvedBindingError(f"Comparison between different primitives types: {left_kind} and {right_kind}")
    if left_kind in ("boolean", "none_type") and not is_equality:
        raise UnresolvedBindingError(f"Values of type {left_kind} have no order")
    return bool(_COMPARISONS[comparison.operator](left, right))


def _operand_value(operand: Any, inputs: Literals) -> tuple[str, Any]:
    """Return the type and the value of an operand."""
    kind = operand.WhichOneof("val")
    if kind == "primitive":
        scalar = pb.Scalar(primitive=operand.primitive)
    elif kind == "scalar":
        scalar = operand.scalar
    elif operand.var in inputs:
        scalar = inputs[operand.var].scalar
    else:
        raise UnresolvedBindingError(f"Failed to find Value for Variable [{operand.var}]")
    while scalar.HasField("union"):
        scalar = scalar.union.value.scalar
    if scalar.HasField("none_type"):
        return "none_type", None
    if not scalar.HasField("primitive"):
        raise UnresolvedBindingError(f"Expected primitive value for [{operand.var}], got {scalar.WhichOneof('value')}")
    primitive = scalar.primitive
    name = str(primitive.WhichOneof("value"))
    value = getattr(primitive, name)
    return name, (value.ToNanoseconds() if name in ("datetime", "duration") else value)
