"""Bindings: what a node gets of the outputs of others."""

import pytest
from engine_values import integers, path, results
from flyteidl.core import literals_pb2 as pb

from flyteoptuna.testing.engine.scopes import ExecutionFailedError
from flyteoptuna.testing.pods.literals import (
    NONE_LITERAL,
    UnresolvedBindingError,
    binary_literal,
    list_literal,
    primitive_literal,
    resolve_attribute,
)


def test_promises_scalars_collections_and_maps_are_bound(flows, engine):
    """Attributes, lists and dictionaries of promises and constants, and an optional input, reach the tasks."""
    first, second = results(engine.run(flows.bindings))
    assert first == "3 1.5 ['a', 'b'] {'k': 3} 4"
    assert second == "[3, 7, 3] [('a', 3), ('b', 1)] 3"


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (["n"], primitive_literal(3)),
        (["f"], primitive_literal(0.5)),
        (["b"], primitive_literal(True)),
        (["s"], primitive_literal("text")),
        (["list"], list_literal([binary_literal(1), binary_literal([2])])),
        (["list", 1, 0], primitive_literal(2)),
        (["map"], binary_literal({"k": 1})),
        (["map", "k"], primitive_literal(1)),
        (["none"], binary_literal(None)),
    ],
)
def test_an_attribute_of_msgpack_is_a_primitive_a_collection_of_binaries_or_one_binary(steps, expected):
    """A path into a msgpack binary ends in what Flyte's resolver makes of the value there."""
    content = {"n": 3, "f": 0.5, "b": True, "s": "text", "list": [1, [2]], "map": {"k": 1}, "none": None}
    assert resolve_attribute(binary_literal(content), path(*steps)) == expected
    outer = pb.Literal(map=pb.LiteralMap(literals={"x": list_literal([NONE_LITERAL, binary_literal(content)])}))
    assert resolve_attribute(outer, path("x", 1, *steps)) == expected


def test_an_attribute_of_a_struct_is_a_float_for_each_number():
    """A path into a protobuf struct ends in a primitive, a collection or a struct; its numbers are floats."""
    literal = pb.Literal()
    literal.scalar.generic.update({"n": 3, "list": [1, "a"], "map": {"k": True}})
    assert resolve_attribute(literal, path("n")) == primitive_literal(3.0)
    assert resolve_attribute(literal, path("list")) == list_literal([primitive_literal(1.0), primitive_literal("a")])
    assert resolve_attribute(literal, path("map")).scalar.generic["k"] is True


@pytest.mark.parametrize(
    ("literal", "steps", "message"),
    [
        (binary_literal({"a": 1}), ["b"], r"key \[b\] does not exist"),
        (binary_literal([1]), [1], r"index \[1\] is out of range"),
        (binary_literal({"a": 1}), ["a", "b"], r"unexpected attribute \[b\] of a int"),
        (binary_literal({"a": 1}), [0], r"unexpected attribute \[0\] of a dict"),
        (integers(1), [2], r"index \[2\] is out of range"),
        (pb.Literal(map=pb.LiteralMap()), ["b"], r"key \[b\] does not exist"),
    ],
)
def test_an_attribute_that_does_not_exist_is_an_error(literal, steps, message):
    """A missing key, an index out of range and a step into the wrong kind of value are errors."""
    with pytest.raises(UnresolvedBindingError, match=message):
        resolve_attribute(literal, path(*steps))


def test_a_path_into_a_union_is_ignored():
    """Flyte's resolver returns a union as it is, whatever path there is."""
    union = pb.Literal(scalar=pb.Scalar(union=pb.Union(value=binary_literal({"a": 1}))))
    assert resolve_attribute(union, path("a")) == union


def test_a_node_whose_binding_cannot_be_resolved_fails(flows, engine):
    """A missing key in the outputs of a task fails the node that wants it, before it has a pod."""
    with pytest.raises(ExecutionFailedError, match=r"node n1 \(engine_flows.add\): key \[y\] does not exist") as failed:
        engine.run(flows.missing_key, {"size": 1})
    assert (failed.value.path, failed.value.task) == ("n1", "engine_flows.add")
    assert len(engine.pods) == 1
