"""Subworkflows, launch plans, array nodes, gates and failure nodes."""

from flyteidl.core import tasks_pb2, workflow_pb2
from flyteidl.core.identifier_pb2 import TASK, WORKFLOW
from google.protobuf.duration_pb2 import Duration
from testing.compiler.branches import branch, branched, compare
from testing.compiler.cases import built, cases, changed
from testing.compiler.protobufs import (
    FLOAT,
    HALF,
    INT,
    INTEGER,
    LISTS,
    NONE,
    ONE,
    OPTIONAL,
    POINT,
    STRING,
    TEXT,
    VOID,
    feed,
    flow,
    gives,
    identifier,
    list_of,
    listed,
    map_of,
    node,
    plan,
    promise,
    takes,
    task,
    union_of,
    variables,
)

# Subworkflows


def sub(*nodes, name="s", **words):
    """A workflow that is called by another one."""
    return flow(*(nodes or (node("n0", INT, a=promise("", "a")),)), name=name, **{"inputs": {"a": INTEGER}, **words})


RETURNS = {"outputs": {"o0": (INTEGER, promise("n0"))}}
INNER = sub(**RETURNS)
OUTER = sub(node("n0", INNER, a=promise("", "a")), name="m", calls=[INNER], **RETURNS)
WRONG = sub(node("n0", INT, a=TEXT), name="x", **RETURNS)


@changed("subworkflow")
def subworkflow_missing(parts):
    del parts.subworkflows[:]


@changed("subworkflow")
def subworkflow_of_other_version(parts):
    parts.subworkflows[0].id.version = "z"


@changed("subworkflow")
def subworkflow_without_id(parts):
    parts.subworkflows[0].ClearField("id")


@changed("subworkflow")
def subworkflow_twice(parts):
    parts.subworkflows.append(parts.subworkflows[0])


@changed("subworkflow")
def subworkflow_without_interface(parts):
    parts.subworkflows[0].ClearField("interface")


@changed("subworkflow")
def subworkflow_without_nodes(parts):
    del parts.subworkflows[0].nodes[:]


@changed("subworkflow")
def subworkflow_input_not_bound(parts):
    del parts.nodes[1].inputs[:]


@changed("subworkflow")
def subworkflow_output_not_bound(parts):
    del parts.subworkflows[0].outputs[:]


@changed("subworkflow")
def subworkflow_task_missing(parts):
    parts.subworkflows[0].nodes[0].task_node.reference_id.name = "z"


@changed("subworkflow")
def subworkflow_unused(parts):
    parts.subworkflows.append(workflow_pb2.WorkflowTemplate(id=identifier(WORKFLOW, "z")))


@changed("subworkflows_in_subworkflows")
def subworkflow_in_subworkflow_missing(parts):
    parts.subworkflows[:] = [each for each in parts.subworkflows if "inner" not in each.id.name]


cases(
    subworkflow_of_same_id=sub(node("n0", INNER, a=promise("", "a")), calls=[INNER], **RETURNS),
    subworkflow_wrong_inside=flow(node("n0", WRONG, a=ONE), node("n1", WRONG, a=promise("n0")), calls=[WRONG]),
    subworkflow_wrong_inside_and_outside=flow(
        node("n0", WRONG, a=TEXT), node("n1", WRONG), node("n2", INT, a=promise("n0", "z")), calls=[WRONG]
    ),
)


@built
def subworkflow_that_calls_itself():
    inside = sub(node("n0", sub(), a=promise("", "a")))
    return flow(node("n0", inside, a=ONE), calls=[inside])


@built
def subworkflows_that_call_each_other():
    first = sub(node("n0", sub(name="m"), a=promise("", "a")))
    return flow(node("n0", first, a=ONE), calls=[first, sub(node("n0", first, a=promise("", "a")), name="m")])


@built
def workflow_that_calls_itself():
    own = flow(node("n0", flow(), a=ONE))
    return own._replace(subworkflows=[own.workflow])


@built
def subworkflow_wrong_two_deep():
    middle = sub(node("n0", WRONG, a=promise("", "a")), name="m", calls=[WRONG], **RETURNS)
    return flow(node("n0", middle, a=ONE), node("n1", WRONG, a=ONE), calls=[middle])


cases(
    subworkflow_two_deep=flow(
        node("n0", OUTER, a=ONE), node("n1", OUTER, a=promise("n0")), node("n2", INNER, a=ONE), calls=[OUTER]
    ),
)


@built
def subworkflow_with_cycle():
    inside = sub(node("n0", INT, after=["n1"], a=promise("", "a")), node("n1", INT, a=promise("n0")), **RETURNS)
    return flow(node("n0", inside, a=ONE), calls=[inside])


cases(
    subworkflow_in_branch=branched(then=node("t", INNER, a=ONE))._replace(subworkflows=[INNER.workflow]),
    subworkflow_wrong_in_branch=branched(then=node("t", WRONG, a=ONE))._replace(subworkflows=[WRONG.workflow]),
)


@built
def subworkflow_wrong_in_both_branches():
    given = branched(then=node("t", WRONG, a=ONE), other=node("e", WRONG, a=TEXT))
    return given._replace(subworkflows=[WRONG.workflow], tasks=WRONG.tasks)


@built
def subworkflow_with_optional():
    inside = sub(node("n0", takes(OPTIONAL), a=promise("", "a")), inputs={"a": OPTIONAL})
    return flow(node("n0", inside), node("n1", inside, a=ONE), node("n2", inside, a=TEXT), calls=[inside])


@built
def workflow_node_without_reference():
    empty = workflow_pb2.Node(id="n0")
    empty.workflow_node.SetInParent()
    return flow(empty)


@built
def workflow_node_without_reference_nor_workflow_id():
    empty = workflow_pb2.Node(id="n0")
    empty.workflow_node.SetInParent()
    made_flow = flow(empty)
    made_flow.workflow.ClearField("id")
    return made_flow


@built
def subworkflow_in_workflow_without_id():
    made_flow = flow(node("n0", INNER, a=TEXT), calls=[INNER])
    made_flow.workflow.ClearField("id")
    return made_flow


# Launch plans

PLAN = plan("l", {"a": INTEGER, "b": (INTEGER, ONE)}, {"o0": INTEGER})


def launched(*nodes, plans=(PLAN,), **words):
    """A workflow with nodes that call a launch plan."""
    return flow(*nodes, plans=plans, **words)


cases(
    launch_plan=launched(node("n0", PLAN, a=ONE), node("n1", PLAN, a=promise("n0"), b=promise("n0"))),
    launch_plan_missing=launched(node("n0", PLAN, a=ONE), plans=[]),
    launch_plan_input_not_bound=launched(node("n0", PLAN, b=ONE)),
    launch_plan_input_unknown=launched(node("n0", PLAN, a=ONE, z=ONE)),
    launch_plan_inputs_of_other_types=launched(node("n0", PLAN, a=TEXT, b=HALF)),
    launch_plan_output_unknown=launched(node("n0", PLAN, a=ONE), node("n1", INT, a=promise("n0", "z"))),
)


@built
def launch_plan_without_outputs():
    silent = plan("l", {"a": INTEGER})
    silent.closure.ClearField("expected_outputs")
    return launched(node("n0", PLAN, a=ONE), plans=[silent])


@built
def launch_plan_without_inputs():
    silent = plan("l", {}, {"o0": INTEGER})
    silent.closure.ClearField("expected_inputs")
    return launched(node("n0", PLAN, a=ONE), plans=[silent])


@built
def launch_plan_without_closure():
    silent = plan("l")
    silent.ClearField("closure")
    return launched(node("n0", PLAN, a=ONE), plans=[silent])


@changed("launch_plans")
def launch_plan_fixed_input_bound(parts):
    fixed = next(n for n in parts.nodes if n.workflow_node.launchplan_ref.name == "plan_with_fixed")
    fixed.inputs.add(var="b").binding.CopyFrom(ONE)


@built
def launch_plan_optional_not_bound():
    optional = plan("l", {"a": OPTIONAL, "b": (OPTIONAL, ONE)})
    return launched(node("n0", optional), plans=[optional])


cases(
    launch_plan_in_branch=branched(then=node("t", PLAN, a=promise("", "s")))._replace(launch_plans=[PLAN]),
)


@built
def launch_plan_of_itself():
    own = plan("w", {"a": INTEGER}, {"o": INTEGER})
    return launched(node("n0", own, a=ONE), plans=[own])


@built
def launch_plan_with_id_of_workflow():
    own = plan("w", {"a": INTEGER}, {"o": INTEGER})
    own.id.resource_type = WORKFLOW
    return launched(node("n0", own), plans=[own], inputs={"z": STRING})


@built
def launch_plan_input_without_type():
    silent = plan("l", {"a": INTEGER})
    silent.closure.expected_inputs.parameters["a"].ClearField("var")
    return launched(node("n0", silent, a=ONE), plans=[silent])


# Array nodes, as a map task is one


def mapping(kind=INTEGER, **inputs):
    """A node that maps a task over lists."""
    inside = node("m", task(inputs={"a": list_of(kind)}, outputs={"o0": list_of(kind)}))
    return node("n0", inside, **inputs)


cases(
    array=flow(mapping(a=listed(ONE, ONE)), node("n1", takes(list_of(INTEGER)), a=promise("n0"))),
    array_over_int=flow(mapping(a=ONE)),
    array_over_strs=flow(mapping(a=listed(TEXT))),
    array_not_bound=flow(mapping()),
    array_of_optionals=flow(
        mapping(OPTIONAL, a=listed(ONE, VOID)), node("n1", takes(list_of(INTEGER)), a=promise("n0"))
    ),
    array_of_unions_of_lists=flow(mapping(LISTS, a=listed(listed(ONE), listed(TEXT), listed()))),
)


@changed("mapped")
def array_with_bound_inputs(parts):
    parts.nodes[0].array_node.bound_inputs.append("a")


@changed("mapped")
def array_without_node(parts):
    parts.nodes[0].array_node.ClearField("node")


@changed("mapped")
def array_of_unknown_task(parts):
    parts.nodes[0].array_node.node.task_node.reference_id.name = "z"


@built
def array_with_inner_bindings():
    given = mapping(a=listed(ONE))
    given.array_node.node.inputs.add(var="z").binding.CopyFrom(TEXT)
    return flow(given)


@built
def array_of_array():
    inside = mapping(a=listed(ONE))
    inside.id = "m"
    return flow(node("n0", inside, a=listed(ONE)))


cases(
    array_of_node_without_target=flow(node("n0", node("m"), a=listed(ONE))),
    array_of_subworkflow=flow(node("n0", node("m", INNER), a=ONE), calls=[INNER]),
    array_of_wrong_subworkflow=flow(node("n0", node("m", WRONG), a=ONE), calls=[WRONG]),
    array_of_launch_plan=launched(
        node("n0", node("m", PLAN), a=ONE), node("n1", node("m", PLAN), a=listed(ONE), b=ONE)
    ),
    array_of_branch=flow(node("n0", branch(), a=promise("", "a")), inputs={"a": INTEGER}),
)


# Gates


def gate(**words):
    """A gate node's target."""
    return workflow_pb2.GateNode(**words)


SLEEP = gate(sleep=workflow_pb2.SleepCondition(duration=Duration(seconds=1)))
SIGNAL = gate(signal=workflow_pb2.SignalCondition(signal_id="s", type=INTEGER, output_variable_name="o0"))
APPROVE = gate(approve=workflow_pb2.ApproveCondition(signal_id="s"))
GATES = {
    "sleep": flow(node("n0", SLEEP)),
    "sleep_with_input": flow(node("n0", SLEEP, a=ONE)),
    "sleep_with_output": flow(node("n0", SLEEP), node("n1", INT, a=promise("n0"))),
    "sleep_without_duration": flow(node("n0", gate(sleep=workflow_pb2.SleepCondition()))),
    "signal": flow(node("n0", SIGNAL), node("n1", INT, a=promise("n0"))),
    "signal_of_other_type": flow(node("n0", SIGNAL), node("n1", takes(FLOAT), a=promise("n0"))),
    "signal_with_input": flow(node("n0", SIGNAL, a=ONE)),
    "signal_without_type": flow(
        node("n0", gate(signal=workflow_pb2.SignalCondition(output_variable_name="o0"))),
        node("n1", INT, a=promise("n0")),
    ),
    "signal_without_variable": flow(node("n0", gate(signal=workflow_pb2.SignalCondition(type=INTEGER)))),
    "signal_without_fields": flow(node("n0", gate(signal=workflow_pb2.SignalCondition()))),
    "approve": flow(node("n0", APPROVE, o0=ONE), node("n1", INT, a=promise("n0"))),
    "approve_of_other_type": flow(node("n0", APPROVE, o0=TEXT), node("n1", INT, a=promise("n0"))),
    "approve_without_input": flow(node("n0", APPROVE)),
    "approve_of_list": flow(node("n0", APPROVE, o0=listed(ONE))),
    "approve_of_promise": flow(
        node("n0", APPROVE, o0=promise("", "a")), node("n1", INT, a=promise("n0")), inputs={"a": INTEGER}
    ),
    "approve_of_path": flow(
        node("n0", APPROVE, o0=promise("", "a", "x")), node("n1", INT, a=promise("n0")), inputs={"a": POINT}
    ),
    "approve_of_unknown": flow(node("n0", APPROVE, o0=promise("n9"))),
    "approve_twice": flow(node("n0", APPROVE, o0=ONE), node("n1", APPROVE, o0=promise("n0"))),
    "without_condition": flow(node("n0", gate()), node("n1", INT, a=promise("n0"))),
    "in_branch": branched(then=node("t", SIGNAL)),
    "in_branch_without_condition": branched(then=node("t", gate())),
}
cases(**{f"gate_{name}": parts for name, parts in GATES.items()})


# Failure nodes


def failing(failure, *nodes, **words):
    """A workflow with a failure node."""
    return flow(*(nodes or (node("n0", INT, a=ONE),)), failure=failure, inputs={"a": INTEGER, "s": STRING}, **words)


FAILURES = {
    "sound": failing(node("f", INT, a=promise("", "a"))),
    "not_bound": failing(node("f", INT)),
    "optional_not_bound": failing(node("f", takes(OPTIONAL))),
    "input_unknown": failing(node("f", INT, a=ONE, z=ONE)),
    "of_other_type": failing(node("f", INT, a=promise("", "s"))),
    "of_output": failing(node("f", INT, a=promise("n0"))),
    "of_unknown_node": failing(node("f", INT, a=promise("n9"))),
    "of_itself": failing(node("f", INT, a=promise("f"))),
    "of_id_of_node": failing(node("n0", INT, a=promise("", "a"))),
    "without_id": failing(node("", INT, a=ONE)),
    "without_target": failing(node("f")),
    "after_unknown": failing(node("f", INT, after=["n9"], a=ONE)),
    "output_used": failing(node("f", INT, a=ONE), node("n0", INT, a=promise("f"))),
    "branch": failing(branch()),
    "branch_wrong": failing(branch(condition=compare("a", HALF), then=node("t", INT, a=TEXT))),
    "subworkflow": failing(node("f", INNER, a=ONE), calls=[INNER]),
    "wrong_subworkflow": failing(node("f", WRONG, a=ONE), calls=[WRONG]),
    "gate": failing(node("f", SLEEP)),
    "array": failing(node("f", node("m", INT), a=ONE)),
    "called_end_node": failing(node("end-node", INT, a=TEXT)),
}
cases(**{f"failure_node_{name}": parts for name, parts in FAILURES.items()})


@changed("cleaned")
def failure_node_of_unknown_task(parts):
    parts.workflow.failure_node.task_node.reference_id.name = "z"


@changed("cleaned")
def failure_node_without_task(parts):
    parts.tasks[:] = [each for each in parts.tasks if "clean" not in each.id.name]


@built
def failure_node_in_subworkflow():
    inside = sub(failure=node("f", INT, a=TEXT))
    return flow(node("n0", inside, a=ONE), calls=[inside])


cases(
    unused_outputs_are_no_error=flow(node("n0", gives(INTEGER, STRING)), node("n1", INT, a=promise("n0"))),
)


@built
def deep_types():
    deep = list_of(map_of(union_of(list_of(map_of(FLOAT)), NONE)))
    return feed(deep, deep)


cases(
    deep_types_that_differ=feed(list_of(map_of(list_of(map_of(FLOAT)))), list_of(map_of(list_of(map_of(INTEGER))))),
)


@built
def inputs_of_a_task_without_variables():
    silent = tasks_pb2.TaskTemplate(id=identifier(TASK, "silent"))
    silent.interface.outputs.CopyFrom(variables({"o0": INTEGER}))
    return flow(node("n0", silent), node("n1", INT, a=promise("n0")))._replace(tasks=[silent, INT])
