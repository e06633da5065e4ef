"""The compiler gives the verdicts of Flyte's own, which are facts of its version, in the files beside this one."""

import json
from pathlib import Path

import pytest
from flyteidl.core import interface_pb2
from flyteidl.core import literals_pb2 as pb
from flyteidl.core.types_pb2 import LiteralType
from google.protobuf.json_format import ParseDict
from testing.compiler.workflows import CASES

from flyteoptuna.testing.compiler.bindings import can_cast_with_schemas
from flyteoptuna.testing.compiler.inputs import check_default_inputs, check_execution_inputs, infer_literal_type
from flyteoptuna.testing.compiler.problems import CompileError
from flyteoptuna.testing.compiler.workflows import compile_workflow

FILES = Path(__file__).parent
PAIRS = json.loads((FILES / "casts.json").read_text())
VERDICTS = json.loads((FILES / "verdicts.json").read_text())
INPUTS = json.loads((FILES / "inputs.json").read_text())
TYPES = {name: ParseDict(found, LiteralType()) for name, found in PAIRS["types"].items()}
# Upstream and downstream types. Flyte excuses what it says in an error of a property that is named "not implemented",
# and reads a broken reference for broken that ours takes for a reference to a definition.
OTHER_PAIRS = {
    ("B_hole2", "B_hole"),
    ("B_hole", "B_hole2"),
    *((("j:r_bad", name)) for name in ("Empty", "B_hole", "B_hole2", "j:obj")),
}
# Protobufs that flytekit does not make: a workflow without an id or an interface, a subworkflow with the id of the
# workflow, a frame without a type for an input without one; and an index into what is no list, which is refused here
# with one error less.
OTHER_WORKFLOWS = {
    "index_of_itself",
    "constant_dataset_without_metadata_for_untyped",
    "subworkflow_in_workflow_without_id",
    "subworkflow_of_same_id",
    "subworkflow_without_interface",
    "workflow_node_without_reference_nor_workflow_id",
}


@pytest.mark.parametrize("downstream", TYPES)
def test_a_type_casts_to_another_as_in_flyte(downstream):
    """Each type to this one: those of Python's types by flytekit, and what no Python type gives."""
    found = {name for name, kind in TYPES.items() if can_cast_with_schemas(kind, TYPES[downstream])}
    other = {upstream for upstream, name in OTHER_PAIRS if name == downstream}
    assert found ^ set(PAIRS["casts"][downstream]) == other


@pytest.mark.parametrize("case", PAIRS["literals"], ids=lambda case: case["name"])
def test_a_literal_has_the_type_that_flyte_infers(case):
    """A value that is bound, or given to an execution, is checked by the type that it shows."""
    found = infer_literal_type(ParseDict(case["literal"], pb.Literal()))
    wanted = None if case["type"] is None else ParseDict(case["type"], LiteralType())
    # A value that names no type is of an empty one, which casts to nothing, as Flyte's is.
    nothing = found is not None and found.WhichOneof("type") is None
    assert found == wanted or (nothing and not wanted.ByteSize() - 2)


def codes_of(parts):
    try:
        compile_workflow(*parts)
    except CompileError as error:
        return sorted(problem.code for problem in error.problems)
    return []


@pytest.mark.parametrize("name", [name for name in VERDICTS["cases"] if name not in OTHER_WORKFLOWS])
def test_a_workflow_compiles_as_in_flyte(name):
    """It does, or has the same errors."""
    assert codes_of(CASES[name]()) == VERDICTS["cases"][name]


@pytest.mark.parametrize("name", [*VERDICTS["panics"], *VERDICTS["overflows"]])
def test_a_workflow_that_breaks_flyte_breaks_nothing_here(name):
    """Flyte's compiler has no verdict on it."""
    assert isinstance(codes_of(CASES[name]()), list)


def test_every_case_has_a_verdict():
    """A new one is to be given to Flyte first."""
    known = {*VERDICTS["cases"], *VERDICTS["panics"], *VERDICTS["overflows"], *VERDICTS["silent"]}
    assert known == {*CASES}


WORDS = {
    "wrong type": "input wrong type",
    "missing": "expected_inputs x missing",
    "unknown input": "invalid input",
    "unknown type": "Failed to validate literal type",
}


@pytest.mark.parametrize(
    "case", [case for case in INPUTS["cases"] if case["verdict"] != "panic"], ids=lambda c: c["name"]
)
def test_an_input_of_an_execution_is_checked_as_by_flyte(case):
    """By admin, when the execution is made."""
    parameter = interface_pb2.Parameter(var={"type": ParseDict(case.get("type", {}), LiteralType())})
    if "default" in case:
        parameter.default.CopyFrom(ParseDict(case["default"], pb.Literal()))
    elif case.get("required"):
        parameter.required = True
    given = {case.get("given_as", "x"): ParseDict(case["literal"], pb.Literal())} if "literal" in case else {}
    try:
        check_execution_inputs(given, {"x": parameter} if case.get("declared", True) else {})
    except CompileError as error:
        assert WORDS[case["verdict"]] in str(error)
    else:
        assert case["verdict"] == "ok"


def test_a_default_of_another_type_is_refused():
    """By admin, when the workflow is registered."""
    text = pb.Literal(scalar={"primitive": {"string_value": "a"}})
    parameter = interface_pb2.Parameter(var={"type": {"simple": "INTEGER"}}, default=text)
    with pytest.raises(CompileError, match=r"Type mismatch for Parameter x in default_inputs has type simple: INTEGER"):
        check_default_inputs({"x": parameter})
