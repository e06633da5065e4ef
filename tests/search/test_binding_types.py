"""Each binding of a search's graphs has a type that Flyte casts: with any other one at either end, it is refused."""

import pytest
from first_graph import EmittedError, FirstGraph
from flyteidl.core.types_pb2 import LiteralType

from flyteoptuna.testing.compiler.problems import CompileError
from flyteoptuna.testing.compiler.registration import check_dynamic_graph
from flyteoptuna.testing.compiler.workflows import compile_workflow

FLOW = "flow_of_kinds"
OTHER = LiteralType(blob={"format": "nothing of a search"})


@pytest.fixture
def compiled(flows, tmp_path):
    """A function of a workflow's name: what checks its graph, or that of its search; the tasks and the nodes."""

    def compiled(name, first_dynamic):
        workflow = getattr(flows(FLOW), name)
        if first_dynamic:
            with pytest.raises(EmittedError) as raised:
                FirstGraph(tmp_path, flows(FLOW).HERE).run(workflow)
            job, template = raised.value.args
            return lambda: check_dynamic_graph(job, template, "d"), [*job.tasks], [*job.nodes], job.outputs
        spec, tasks = FirstGraph(tmp_path, ()).serialize(workflow)
        check = lambda: compile_workflow(spec.template, spec.sub_workflows, tasks)  # noqa: E731
        return check, tasks, [*spec.template.nodes], spec.template.outputs

    return compiled


def sources(bindings):
    """The nodes and variables that bindings take."""
    for binding in bindings:
        data = [binding.binding]
        while data:
            each = data.pop()
            data += [*each.collection.bindings, *each.map.bindings.values()]
            if each.HasField("promise"):
                yield each.promise.node_id, each.promise.var


def name_of(node):
    inner = node.array_node.node if node.HasField("array_node") else node
    return inner.task_node.reference_id.name


def ends(tasks, nodes, outputs):
    """The variables at the ends of the bindings, by the task that declares them."""
    templates = {task.id.name: task.interface for task in tasks}
    names = {node.id: name_of(node) for node in nodes}
    for node in nodes:
        for binding in node.inputs:
            yield names[node.id], binding.var, templates[names[node.id]].inputs.variables
    taken = [taken for node in nodes for taken in sources(node.inputs)] + [*sources(outputs)]
    for source, variable in taken:
        if names.get(source):
            yield names[source], variable, templates[names[source]].outputs.variables


@pytest.mark.parametrize(
    ("name", "first_dynamic", "least"),
    [("of_parameters", False, 20), ("of_parameters_reused", False, 25), ("from_inputs", False, 35), ("long", True, 30)],
)
def test_a_binding_of_another_type_is_refused(compiled, name, first_dynamic, least):
    """In the workflow of each kind of search, and in the graph that a search in batches makes."""
    check, *graph = compiled(name, first_dynamic)
    check()
    known = {(task, name): variables for task, name, variables in ends(*graph)}
    assert len(known) >= least
    for (task, variable), variables in known.items():
        before = LiteralType()
        before.CopyFrom(variables[variable].type)
        variables[variable].type.CopyFrom(OTHER)
        refused = False
        try:
            check()
        except CompileError:
            refused = True
        assert refused, f"{task}.{variable}"
        variables[variable].type.CopyFrom(before)
    check()
