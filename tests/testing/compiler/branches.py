"""Conditionals."""

from flyteidl.core import condition_pb2 as conditions
from flyteidl.core import workflow_pb2
from testing.compiler.cases import built, cases, changed
from testing.compiler.protobufs import (
    EITHER,
    FLOAT,
    HALF,
    INT,
    INTEGER,
    ONE,
    OPTIONAL,
    POINT,
    STRING,
    STRUCT,
    TAGGED,
    TEXT,
    A,
    flow,
    gives,
    list_of,
    listed,
    node,
    promise,
    simple,
    takes,
    task,
    union_of,
)

EQ = conditions.ComparisonExpression.EQ


def side(value):
    """An operand: a variable, a primitive, or what a binding has of one."""
    if isinstance(value, str):
        return conditions.Operand(var=value)
    return conditions.Operand(primitive=value.scalar.primitive) if value is not None else conditions.Operand()


def compare(left, right):
    """A comparison."""
    sides = {"left_value": side(left), "right_value": side(right)}
    return conditions.BooleanExpression(comparison=conditions.ComparisonExpression(operator=EQ, **sides))


def both(left, right):
    """A conjunction."""
    pair = conditions.ConjunctionExpression(left_expression=left, right_expression=right)
    return conditions.BooleanExpression(conjunction=pair)


SOUND = compare("a", ONE)
THEN, ELSE = node("t", INT, a=ONE), node("e", INT, a=ONE)


def branch(condition=SOUND, then=THEN, other=ELSE, more=(), after=(), **inputs):
    """A node with a conditional."""
    blocks = [workflow_pb2.IfBlock(condition=c, then_node=n) for c, n in ((condition, then), *more)]
    choice = workflow_pb2.IfElseBlock(case=blocks[0], other=blocks[1:], else_node=other)
    return node("b", workflow_pb2.BranchNode(if_else=choice), after, **(inputs or {"a": promise("", "a")}))


def branched(*nodes, before=(), outputs=(), **words):
    """A workflow with a conditional on its input."""
    return flow(*before, branch(**words), *nodes, inputs={"a": INTEGER, "s": STRING}, outputs=outputs)


BRANCHES = {
    "sound": {},
    "without_else": {"other": None},
    "without_condition": {"condition": None},
    "without_then": {"then": None},
    "without_then_and_else": {"then": None, "other": None},
    "with_empty_condition": {"condition": conditions.BooleanExpression()},
    "with_empty_comparison": {"condition": conditions.BooleanExpression(comparison=conditions.ComparisonExpression())},
    "with_empty_operands": {"condition": compare(None, None)},
    "with_empty_operand": {"condition": compare("a", None)},
    "with_empty_conjunction": {"condition": both(None, None)},
    "with_half_a_conjunction": {"condition": both(SOUND, None)},
    "on_unbound_variable": {"condition": compare("z", ONE)},
    "on_two_unbound_variables": {"condition": compare("y", "z")},
    "on_variable_of_workflow": {"condition": compare("s", TEXT)},
    "on_other_type": {"condition": compare("a", TEXT)},
    "on_float": {"condition": compare("a", HALF)},
    "on_constants": {"condition": compare(ONE, ONE)},
    "on_constants_of_other_types": {"condition": compare(ONE, HALF)},
    "on_itself": {"condition": compare("a", "a")},
    "on_two_variables": {"condition": compare("a", "s"), "a": promise("", "a"), "s": promise("", "s")},
    "on_conjunction": {"condition": both(SOUND, both(SOUND, compare(ONE, "a")))},
    "on_wrong_conjunction": {"condition": both(compare("a", HALF), both(compare("z", ONE), compare("a", TEXT)))},
    "on_constant_input": {"a": ONE},
    "on_constant_list": {"a": listed(ONE)},
    "on_unknown_node": {"a": promise("n9")},
    "on_unknown_variable": {"a": promise("", "z")},
    "on_input_bound_twice_by_name": {"a": promise("", "a"), "b": promise("", "a")},
    "then_of_wrong_type": {"then": node("t", INT, a=TEXT)},
    "then_of_str": {"then": node("t", INT, a=promise("", "s"))},
    "then_not_bound": {"then": node("t", INT)},
    "then_of_other_type": {"then": node("t", takes(STRING), a=TEXT)},
    "then_of_other_outputs": {"then": node("t", task(outputs={"z": INTEGER}))},
    "then_without_outputs": {"then": node("t", task())},
    "then_of_more_outputs": {"then": node("t", gives(INTEGER, STRING))},
    "then_without_target": {"then": node("t")},
    "then_and_else_of_one_id": {"then": node("e", INT, a=ONE)},
    "then_of_no_id": {"then": node("", INT, a=ONE)},
    "then_of_itself": {"then": node("t", INT, a=promise("b"))},
    "then_of_else": {"then": node("t", INT, a=promise("b-e"))},
    "then_after_unknown": {"then": node("t", INT, after=["n9"], a=ONE)},
    "else_of_wrong_type": {"other": node("e", INT, a=TEXT)},
    "elif": {"more": [(SOUND, node("f", INT, a=ONE)), (compare("a", "a"), node("g", INT, a=ONE))]},
    "elif_without_then": {"more": [(SOUND, None)]},
    "elif_without_condition": {"more": [(None, node("f", INT, a=ONE))]},
    "elif_of_wrong_type": {"more": [(compare("a", TEXT), node("f", INT, a=TEXT))]},
    "elif_of_other_type": {"more": [(SOUND, node("f", gives(STRING)))]},
    "elif_of_third_type": {"more": [(SOUND, node("f", gives(STRING))), (SOUND, node("g", gives(FLOAT)))]},
    "after_unknown": {"after": ["n9"]},
    "in_branch": {"then": branch(a=promise("", "a"))},
    "in_branch_wrong": {"then": branch(condition=compare("a", HALF), then=node("t", INT, a=TEXT), a=promise("", "a"))},
    "in_branch_of_other_type": {"then": branch(then=node("t", gives(STRING)), a=promise("", "a"))},
    "in_branch_without_else": {"then": branch(other=None, a=promise("", "a"))},
    "in_branch_unbound": {"then": branch(condition=compare("z", ONE), a=promise("", "a"))},
    "in_branch_of_other_output": {"then": branch(then=node("t", gives(STRING)), other=node("e", gives(STRING)))},
}
for name, words in BRANCHES.items():
    cases(**{f"branch_{name}": branched(**words)})
    cases(
        **{
            f"branch_{name}_used": branched(
                node("n1", INT, a=promise("b")), outputs={"o": (INTEGER, promise("b"))}, **words
            )
        }
    )


cases(
    branch_without_cases=flow(node("b", workflow_pb2.BranchNode(), a=ONE)),
)


@built
def branch_without_first_case():
    choice = workflow_pb2.IfElseBlock(other=[workflow_pb2.IfBlock(condition=SOUND, then_node=THEN)], else_node=ELSE)
    return flow(node("b", workflow_pb2.BranchNode(if_else=choice), a=ONE))


@changed("branch_that_fails")
def branch_without_error(parts):
    parts.nodes[0].branch_node.if_else.ClearField("error")


@built
def branch_dropped_output_is_used():
    given = branch(then=node("t", gives(INTEGER, STRING)))
    return flow(given, node("n1", takes(STRING), a=promise("b", "o1")), inputs={"a": INTEGER})


cases(
    branch_output_of_inner_node=branched(node("n1", INT, a=promise("b-t")), node("n2", INT, a=promise("t"))),
    branch_on_promise_path=branched(
        before=[node("n0", gives(POINT))], condition=compare("p", ONE), p=promise("n0", "o0", "x")
    ),
    branch_on_promise_path_unused=branched(
        before=[node("n0", gives(POINT))], a=promise("", "a"), p=promise("n0", "o0", "x")
    ),
    branch_on_promise_index=branched(before=[node("n0", gives(list_of(INTEGER)))], a=promise("n0", "[0].o0")),
    branch_on_promise_of_list=branched(
        before=[node("n0", gives(list_of(INTEGER)))], condition=compare("a", "a"), a=promise("n0")
    ),
    branch_on_optional=branched(before=[node("n0", gives(OPTIONAL))], a=promise("n0")),
    branch_on_enum_and_str=branched(before=[node("n0", gives(A))], condition=compare("a", TEXT), a=promise("n0")),
    branch_on_tagged_int=branched(before=[node("n0", gives(simple("INTEGER", tag="int")))], a=promise("n0")),
)


@built
def branch_of_types_with_other_tags():
    then = node("t", gives(simple("INTEGER", tag="int")))
    return branched(then=then)


cases(
    branch_of_unions_in_other_order=branched(
        then=node("t", gives(EITHER)), other=node("e", gives(union_of(STRING, INTEGER)))
    ),
    branch_of_structs=branched(then=node("t", gives(POINT)), other=node("e", gives(POINT))),
    branch_of_other_structs=branched(then=node("t", gives(TAGGED)), other=node("e", gives(STRUCT))),
    branch_after_its_user=flow(node("n0", INT, a=promise("b")), branch(), inputs={"a": INTEGER}),
    branch_in_a_cycle=branched(before=[node("n0", INT, a=promise("b"))], then=node("t", INT, a=promise("n0"))),
    branch_in_a_cycle_by_condition=branched(before=[node("n0", INT, a=promise("b"))], a=promise("n0")),
)
