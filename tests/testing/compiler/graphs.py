"""Nodes, the edges between them, aliases, and interfaces of workflows and tasks."""

from flyteidl.core import tasks_pb2
from flyteidl.core.identifier_pb2 import TASK
from testing.compiler.cases import built, cases, changed
from testing.compiler.protobufs import (
    FLOAT,
    HALF,
    INT,
    INTEGER,
    ONE,
    OPTIONAL,
    POINT,
    STRING,
    TEXT,
    UNTYPED,
    A,
    fields,
    flow,
    gives,
    identifier,
    list_of,
    listed,
    node,
    promise,
    task,
)

# Nodes and the edges between them


@changed("diamond")
def node_ids_equal(parts):
    parts.nodes[1].id = "n0"


@changed("chain")
def nodes_equal(parts):
    parts.nodes.add().CopyFrom(parts.nodes[1])


cases(
    second_node_of_an_id_is_wrong=flow(node("n0", INT, a=ONE), node("n0", INT, a=TEXT), node("n0", INT)),
    second_node_of_an_id_has_no_target=flow(node("n0", INT, a=ONE), node("n0")),
    node_without_id=flow(node("", INT, a=ONE)),
    two_nodes_without_ids=flow(node("", INT, a=ONE), node("", INT, a=ONE), node("n0", INT, a=ONE)),
    node_called_start_node=flow(node("start-node", INT, a=TEXT), node("n0", INT, a=ONE)),
    node_called_end_node=flow(
        node("end-node", INT, a=TEXT), node("n0", INT, a=ONE), outputs={"o": (INTEGER, promise("n0"))}
    ),
    only_start_and_end=flow(node("start-node"), node("end-node")),
    node_without_target=flow(node("n0")),
)


@built
def task_node_without_reference():
    empty = node("n0", INT, a=ONE)
    empty.task_node.ClearField("reference_id")
    return flow(empty)


@changed("chain")
def task_unknown(parts):
    parts.nodes[1].task_node.reference_id.name = "z"


@changed("chain")
def task_of_other_version(parts):
    parts.nodes[1].task_node.reference_id.version = "z"


@changed("diamond")
def tasks_unknown(parts):
    for each in parts.nodes[1:]:
        each.task_node.reference_id.name = "z"


@changed("chain")
def tasks_missing(parts):
    del parts.tasks[:]


@changed("chain")
def task_twice(parts):
    parts.tasks.append(tasks_pb2.TaskTemplate(id=parts.tasks[0].id))


@changed("chain")
def other_task_of_same_id_first(parts):
    parts.tasks.insert(0, tasks_pb2.TaskTemplate(id=parts.tasks[0].id))


@changed("chain")
def task_without_id(parts):
    parts.tasks.append(tasks_pb2.TaskTemplate(interface=parts.tasks[0].interface))


@changed("chain")
def task_without_interface(parts):
    parts.tasks[0].ClearField("interface")


@changed("no_outputs")
def task_without_interface_or_bindings(parts):
    parts.tasks[0].ClearField("interface")


@changed("chain")
def task_without_inputs(parts):
    parts.tasks[0].interface.ClearField("inputs")


@changed("chain")
def task_unused(parts):
    parts.tasks.append(tasks_pb2.TaskTemplate(id=identifier(TASK, "z")))


cases(
    cycle=flow(node("n0", INT, a=promise("n1")), node("n1", INT, a=promise("n0"))),
    cycle_after_start=flow(
        node("n0", INT, after=["n1"], a=promise("", "a")), node("n1", INT, a=promise("n0")), inputs={"a": INTEGER}
    ),
    cycle_beside=flow(node("n0", INT, a=ONE), node("n1", INT, a=promise("n2")), node("n2", INT, a=promise("n1"))),
    cycle_with_itself=flow(node("n0", INT, a=promise("n0"))),
    cycle_with_itself_after_start=flow(node("n0", INT, after=["n0"], a=promise("", "a")), inputs={"a": INTEGER}),
)


@built
def cycle_of_three():
    first = node(
        "n0", task(inputs={"a": INTEGER, "b": INTEGER}, outputs={"o0": INTEGER}), a=promise("", "a"), b=promise("n2")
    )
    return flow(first, node("n1", INT, a=promise("n0")), node("n2", INT, a=promise("n1")), inputs={"a": INTEGER})


cases(
    upstream=flow(node("n0", INT, a=ONE), node("n1", INT, after=["n0"], a=ONE)),
    upstream_twice=flow(node("n0", INT, a=ONE), node("n1", INT, after=["n0", "n0"], a=promise("n0"))),
    upstream_unknown=flow(node("n0", INT, after=["n9"], a=ONE)),
    upstream_unknown_beside_known=flow(node("n0", INT, after=["n9"], a=promise("", "a")), inputs={"a": INTEGER}),
    upstream_unknown_before_known=flow(node("n0", INT, a=ONE), node("n1", INT, after=["n9", "n0"], a=ONE)),
    upstream_of_no_name=flow(node("n0", INT, after=[""], a=ONE)),
    upstream_start_node=flow(node("n0", INT, after=["start-node"], a=ONE)),
    upstream_end_node=flow(node("n0", INT, after=["end-node"], a=ONE)),
    upstream_end_node_beside_known=flow(node("n0", INT, after=["end-node"], a=promise("", "a")), inputs={"a": INTEGER}),
    unreachable=flow(
        node("n0", INT, a=ONE), node("n1", INT, after=["n9"], a=ONE), node("n2", INT, after=["n1"], a=ONE)
    ),
    mistakes_everywhere=flow(
        node("n0", INT),
        node("n1", INT, z=ONE),
        node("n2", INT, a=TEXT),
        node("n3", INT, a=promise("n9")),
        node("n4"),
        inputs={"a": INTEGER},
        outputs={"o": (INTEGER, promise("n0", "z")), "p": (FLOAT, ONE)},
    ),
)


# Aliases of outputs


cases(
    alias=flow(node("n0", gives(INTEGER), aliases=[("o0", "x")]), node("n1", INT, a=promise("n0", "x"))),
    alias_and_old_name=flow(node("n0", gives(INTEGER), aliases=[("o0", "x")]), node("n1", INT, a=promise("n0", "o0"))),
    alias_of_unknown=flow(node("n0", gives(INTEGER), aliases=[("z", "x")])),
    alias_of_unknown_that_is_used=flow(
        node("n0", gives(INTEGER), aliases=[("z", "x")]), node("n1", INT, a=promise("n0", "o0"))
    ),
    aliases_of_one_variable=flow(node("n0", gives(INTEGER), aliases=[("o0", "x"), ("o0", "y")])),
    aliases_of_one_name=flow(node("n0", gives(INTEGER, STRING), aliases=[("o0", "x"), ("o1", "x")])),
)


@built
def alias_that_is_another_output():
    pair = node("n0", gives(INTEGER, STRING), aliases=[("o0", "o1"), ("o1", "o0")])
    return flow(pair, node("n1", INT, a=promise("n0", "o1")))


# Interfaces and outputs of the workflow


@changed("chain")
def workflow_without_nodes(parts):
    del parts.nodes[:]


cases(
    workflow_without_nodes_but_a_failure_node=flow(failure=node("f", INT, a=ONE)),
)


@changed("chain")
def workflow_without_interface(parts):
    parts.workflow.ClearField("interface")


@changed("no_inputs")
def workflow_without_inputs(parts):
    parts.workflow.interface.ClearField("inputs")


@changed("no_outputs")
def workflow_without_id(parts):
    parts.workflow.ClearField("id")


cases(
    input_without_type=flow(node("n0", INT, a=ONE), inputs={"a": UNTYPED}),
)


@changed("chain")
def input_variable_without_type(parts):
    parts.inputs["a"].ClearField("type")


@changed("chain")
def input_variables_without_types(parts):
    parts.inputs["a"].ClearField("type")
    parts.inputs["b"].SetInParent()
    parts.inputs[""].SetInParent()


@changed("chain")
def output_variable_without_type(parts):
    parts.workflow.interface.outputs.variables["o0"].ClearField("type")


@changed("chain")
def task_variable_without_type(parts):
    parts.tasks[0].interface.inputs.variables["a"].ClearField("type")


@changed("chain")
def task_output_without_type(parts):
    parts.tasks[0].interface.outputs.variables["o0"].ClearField("type")


@changed("chain")
def output_not_bound(parts):
    del parts.outputs[:]


@built
def output_optional_not_bound():
    made_flow = flow(node("n0", INT, a=ONE), outputs={"o": (OPTIONAL, ONE)})
    del made_flow.outputs[:]
    return made_flow


@changed("chain")
def output_bound_twice(parts):
    parts.outputs.add().CopyFrom(parts.outputs[0])


@changed("chain")
def output_unknown(parts):
    parts.outputs.add(var="z").binding.CopyFrom(ONE)


@changed("chain")
def output_of_other_type(parts):
    parts.workflow.interface.outputs.variables["o0"].type.CopyFrom(STRING)


cases(
    output_constant=flow(
        node("n0", INT, a=ONE), outputs={"o": (INTEGER, ONE), "p": (FLOAT, ONE), "q": (A, HALF), "r": (A, TEXT)}
    ),
)


@built
def output_list():
    outputs = {"o": (list_of(INTEGER), listed(promise("n0"), ONE)), "p": (list_of(STRING), listed(promise("n0"), TEXT))}
    return flow(node("n0", INT, a=ONE), outputs=outputs)


cases(
    output_of_input=flow(node("n0", INT, a=ONE), inputs={"a": INTEGER}, outputs={"o": (INTEGER, promise("", "a"))}),
    output_of_unknown_node=flow(node("n0", INT, a=ONE), outputs={"o": (INTEGER, promise("n9"))}),
    output_of_struct_twice=flow(
        node("n0", gives(fields(x=INTEGER))),
        outputs={"o": (INTEGER, promise("n0")), "p": (POINT, promise("n0", "o0", "z"))},
    ),
)
