"""The engine refuses what Flyte's compiler refuses, and says where."""

import flytekit as fl
import pytest
from flytekit import Workflow
from flytekit.models.literals import Binding, BindingData, Primitive, Scalar
from flytekit.types.file import FlyteFile

from flyteoptuna.testing import CompileError, ExecutionFailedError, run
from flyteoptuna.testing.engine.engine import Engine


@fl.task
def number() -> int:
    return 1


@fl.task
def half(x: float) -> float:
    return x / 2


@fl.task
def table() -> dict:
    return {"a": 1.0}


@fl.task
def total(values: dict[str, float]) -> float:
    return sum(values.values())


@fl.task
def text() -> FlyteFile["txt"]:  # noqa: F821 - a format
    with open("one.txt", "w") as file:
        file.write("one")
    return FlyteFile("one.txt")


@fl.task
def csv(file: FlyteFile["csv"]) -> float:
    return 1.0


@fl.workflow
def int_for_float() -> float:
    return half(x=number())


@fl.workflow
def struct_for_dictionary() -> float:
    return total(values=table())


@fl.workflow
def other_format() -> float:
    return csv(file=text())


@fl.workflow
def int_output() -> float:
    return number()


@fl.workflow
def one_name_twice() -> tuple[float, float]:
    return half(x=1.0).with_overrides(node_name="half"), half(x=2.0).with_overrides(node_name="half")


@fl.workflow
def beyond_ascii(η: float) -> float:  # noqa: PLC2401
    return half(x=η)


@fl.workflow
def empty() -> None:
    pass


@pytest.mark.parametrize(
    ("workflow", "message"),
    [
        (int_for_float, r"MismatchingTypes, Node Id: n1, .* 'number.o0' has type \[simple: INTEGER\].*'half.x'"),
        (struct_for_dictionary, r"MismatchingTypes, Node Id: n1, .* 'table.o0' has type \[simple: STRUCT"),
        (other_format, r"MismatchingTypes, Node Id: n1, .*format: \"txt\".*format: \"csv\""),
        (int_output, r"MismatchingTypes, Node Id: end-node, "),
        (one_name_twice, r"DuplicateId, Node Id: half, .* Flyte runs the first of two nodes"),
        (beyond_ascii, r"VariableNameNotFound|SyntaxError"),
        (empty, r"NoNodesFound, .*Can't find any nodes in workflow"),
    ],
    ids=lambda each: getattr(each, "name", ""),
)
def test_a_workflow_that_flyte_would_not_register_is_refused(workflow, message):
    """Before any pod is started, with the node and both types."""
    with pytest.raises(CompileError, match=message) as raised:
        run(workflow, *({"η": 1.0},) if workflow is beyond_ascii else ())
    assert str(raised.value).startswith("Collected Errors: ")


def test_an_imperative_workflow_is_compiled_too():
    """It can bind what flytekit's functions cannot."""
    made = Workflow(name="imperative")
    node = made.add_entity(half, x=1.0)
    made.add_workflow_output("o0", node.outputs["o0"], python_type=float)
    node.bindings.append(Binding("y", BindingData(scalar=Scalar(primitive=Primitive(integer=1)))))
    with pytest.raises(CompileError, match=r"VariableNameNotFound, Node Id: n0, .*Variable \[y\] not found on node"):
        run(made)


@fl.dynamic
def grown() -> float:
    return half(x=number())


@fl.workflow
def of_a_dynamic() -> float:
    return grown()


def test_a_graph_that_a_dynamic_task_makes_is_refused():
    """When it is made; the node of the dynamic task fails, as in Flyte."""
    with pytest.raises(
        ExecutionFailedError, match=r"malformed dynamic workflow, caused by: Collected Errors: 1"
    ) as raised:
        run(of_a_dynamic)
    assert (raised.value.path, [pod.task for pod in raised.value.pods]) == ("n0", [grown.name])


@fl.workflow
def of_an_input(x: float, n: int = 1) -> float:
    return half(x=x)


def test_an_input_of_another_type_is_refused(tmp_path):
    """As admin refuses the execution."""
    with pytest.raises(CompileError, match=r"invalid n input wrong type. Expected simple: INTEGER, but got"):
        Engine(tmp_path, ()).run(of_an_input, {"x": 1.0, "n": 1.5})
