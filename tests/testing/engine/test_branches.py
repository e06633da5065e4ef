"""Conditionals: which branch is taken, and what runs in it."""

import operator

import pytest
from engine_values import results
from flyteidl.core import condition_pb2
from flyteidl.core import literals_pb2 as pb

from flyteoptuna.testing.engine.branches import _compare
from flyteoptuna.testing.engine.scopes import ExecutionFailedError
from flyteoptuna.testing.pods.literals import NONE_LITERAL, UnresolvedBindingError, primitive_literal

OPERATORS = {"EQ": operator.eq, "NEQ": operator.ne, "GT": operator.gt, "GTE": operator.ge, "LT": operator.lt}
OPERATORS["LTE"] = operator.le


def compared(name, left, right):
    kind = condition_pb2.ComparisonExpression
    sides = {"left_value": condition_pb2.Operand(var="a"), "right_value": condition_pb2.Operand(var="b")}
    return _compare(kind(operator=kind.Operator.Value(name), **sides), {"a": left, "b": right})


def union(literal):
    return pb.Literal(scalar=pb.Scalar(union=pb.Union(value=literal)))


@pytest.mark.parametrize(("x", "expected"), [(11, 242), (9, 162), (8, 8), (2, 6)])
def test_the_first_case_that_holds_is_run_and_no_other(flows, engine, x, expected):
    """Conditions over inputs and outputs, with and, or, elif, else and a conditional in a conditional."""
    assert results(engine.run(flows.branched, {"x": x})) == [2 * expected]
    assert len(engine.pods) == 4


def test_a_branch_may_fail(flows, engine):
    """With the message of the workflow's author, at the node of the conditional."""
    with pytest.raises(ExecutionFailedError, match=r"node n2-0-n\d \(no task\): two alone is allowed"):
        engine.run(flows.branched, {"x": 3})


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("pair", [(1, 2), (2, 2), (2, 1), (1.5, 1.5), (0.5, 1.5), ("a", "b"), ("b", "b")])
def test_primitives_of_one_type_are_compared_as_in_python(name, pair):
    """Those in a union as well."""
    left, right = map(primitive_literal, pair)
    assert compared(name, left, right) is compared(name, union(left), right) is OPERATORS[name](*pair)


def test_booleans_and_nothing_are_equal_or_not():
    """They have no order."""
    assert compared("EQ", primitive_literal(True), primitive_literal(True)) and compared(
        "NEQ", primitive_literal(True), primitive_literal(False)
    )
    assert (
        compared("EQ", NONE_LITERAL, union(NONE_LITERAL))
        and compared("NEQ", NONE_LITERAL, primitive_literal(1))
        and not compared("NEQ", NONE_LITERAL, NONE_LITERAL)
    )
    for value in (primitive_literal(True), NONE_LITERAL):
        with pytest.raises(UnresolvedBindingError, match="have no order"):
            compared("GT", value, value)


def test_what_cannot_be_compared_is_an_error():
    """Values of different types, and what is no primitive."""
    with pytest.raises(UnresolvedBindingError, match="different primitives types: integer and float_value"):
        compared("EQ", primitive_literal(1), primitive_literal(1.0))
    with pytest.raises(UnresolvedBindingError, match=r"Expected primitive value for \[a\]"):
        compared("EQ", pb.Literal(), primitive_literal(1.0))
