"""Literals and faults, written shortly for the engine's own tests."""

import msgpack
from flyteidl.core import types_pb2

from flyteoptuna.testing.pods.literals import list_literal, primitive_literal


def integers(*values):
    return list_literal(primitive_literal(value) for value in values)


def value(literal):
    scalar = literal.scalar
    if literal.HasField("collection"):
        return [value(item) for item in literal.collection.literals]
    if literal.HasField("map"):
        return {key: value(item) for key, item in literal.map.literals.items()}
    if scalar.HasField("binary"):
        return msgpack.loads(scalar.binary.value)
    return getattr(scalar.primitive, scalar.primitive.WhichOneof("value")) if scalar.HasField("primitive") else None


def results(outputs):
    return [value(outputs[name]) for name in sorted(outputs)]


def path(*steps):
    names = {str: "string_value", int: "int_value"}
    return [types_pb2.PromiseAttribute(**{names[type(step)]: step}) for step in steps]


def on(fault, **wanted):
    return lambda pod: fault if all(getattr(pod, name) == each for name, each in wanted.items()) else None
