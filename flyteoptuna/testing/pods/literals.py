"""Bindings to literals, as flytepropeller resolves them (`resolve.go`, `attr_path_resolver.go`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgpack
from flyteidl.core import literals_pb2 as pb
from google.protobuf.json_format import MessageToDict

Literals = dict[str, pb.Literal]

NONE = pb.Literal(scalar=pb.Scalar(none_type=pb.Void()))
START = "start-node"
INLINE_LIMIT = 2 * 1024 * 1024
"""Most bytes of one object that the propeller reads (its storage's `GetLimitMegabytes`)."""


class UnresolvedBinding(RuntimeError):
    """A binding that the propeller could not resolve, so its node fails for good."""


class TooLarge(RuntimeError):
    """An object that is over the propeller's limit for what it reads inline."""


def primitive(value: str | bool | float) -> pb.Literal:
    """Return the literal of a primitive Python value."""
    names = {bool: "boolean", int: "integer", float: "float_value", str: "string_value"}
    return pb.Literal(scalar=pb.Scalar(primitive=pb.Primitive(**{names[type(value)]: value})))


def collection(literals: Iterable[pb.Literal]) -> pb.Literal:
    """Return the literal of a list."""
    return pb.Literal(collection=pb.LiteralCollection(literals=literals))


def packed(value: Any) -> pb.Literal:
    """Return the literal of a value as msgpack."""
    return pb.Literal(scalar=pb.Scalar(binary=pb.Binary(value=msgpack.dumps(value), tag="msgpack")))


def check_size(what: str, size: int) -> None:
    """Raise `TooLarge` if an object of `size` bytes would not be read by the propeller."""
    if size > INLINE_LIMIT:
        raise TooLarge(f"{what} has {size} bytes, over the limit of {INLINE_LIMIT} bytes")


def resolve(bindings: Iterable[pb.Binding], done: Mapping[str, Literals]) -> Literals:
    """Resolve the bindings of a node or of a workflow's outputs.

    Args:
        bindings: protobufs of variable names and their binding data.
        done: outputs of the finished nodes by node id; the workflow's own inputs are those of `start-node`.

    Raises:
        UnresolvedBinding: if a promise refers to what does not exist.
    """
    return {binding.var: _literal(binding.binding, done) for binding in bindings}


def _literal(binding: pb.BindingData, done: Mapping[str, Literals]) -> pb.Literal:
    match binding.WhichOneof("value"):
        case "scalar":
            return pb.Literal(scalar=binding.scalar)
        case "collection":
            return collection(_literal(item, done) for item in binding.collection.bindings)
        case "map":
            items = {key: _literal(item, done) for key, item in binding.map.bindings.items()}
            return pb.Literal(map=pb.LiteralMap(literals=items))
        case "promise":
            return _promised(binding.promise, done)
        case _:
            return pb.Literal()


def _promised(promise: Any, done: Mapping[str, Literals]) -> pb.Literal:
    outputs = done.get(promise.node_id or START, {})
    if promise.var not in outputs:
        raise UnresolvedBinding(f"Failed to find [{promise.node_id}].[{promise.var}]")
    literal = outputs[promise.var]
    return attribute(literal, promise.attr_path) if promise.attr_path else literal


def attribute(literal: pb.Literal, path: Iterable[Any]) -> pb.Literal:
    """Follow a promise's attribute path: through maps and lists first, then into a msgpack binary or a struct.

    A scalar of another kind, a union too, is returned as it is and the rest of the path is ignored: so does Flyte.
    """
    rest = list(path)
    while rest and literal.WhichOneof("value") in ("map", "collection"):
        items = literal.map.literals if literal.HasField("map") else literal.collection.literals
        literal = _step(items, rest.pop(0), mapping=literal.HasField("map"))
    match literal.scalar.WhichOneof("value"):
        case "binary":
            return _of_msgpack(_walk(_unpacked(literal.scalar.binary), rest, strict=True))
        case "generic":
            return _of_struct(_walk(MessageToDict(literal.scalar.generic), rest, strict=False))
        case _:
            return literal


def _step(items: Any, step: Any, mapping: bool) -> Any:
    key = step.string_value if mapping else step.int_value
    if mapping and key not in items:
        raise UnresolvedBinding(f"key [{key}] does not exist in literal with keys {sorted(items, key=str)}")
    if not mapping and not 0 <= key < len(items):
        raise UnresolvedBinding(f"index [{key}] is out of range of {len(items)} items")
    return items[key]


def _walk(value: Any, path: Iterable[Any], strict: bool) -> Any:
    for step in path:
        kind = step.WhichOneof("value")
        if isinstance(value, dict) and (kind == "string_value" or not strict):
            value = _step(value, step, mapping=True)
        elif isinstance(value, list) and (kind == "int_value" or not strict):
            value = _step(value, step, mapping=False)
        elif strict:
            raise UnresolvedBinding(f"unexpected attribute [{getattr(step, kind)}] of a {type(value).__name__}")
    return value


def _unpacked(binary: pb.Binary) -> Any:
    if binary.tag != "msgpack":
        raise UnresolvedBinding(f"Unsupported format '{binary.tag}' found for literal value")
    return msgpack.loads(binary.value, strict_map_key=False)


def _of_msgpack(value: Any) -> pb.Literal:
    if isinstance(value, list):
        return collection(packed(item) for item in value)
    return primitive(value) if isinstance(value, (str, bool, int, float)) else packed(value)


def _of_struct(value: Any) -> pb.Literal:
    if isinstance(value, list):
        return collection(_of_struct(item) for item in value)
    if isinstance(value, dict):
        literal = pb.Literal(scalar=pb.Scalar(generic={}))
        literal.scalar.generic.update(value)
        return literal
    return pb.Literal() if value is None else primitive(value)


def element(inputs: Literals, bound: Iterable[str], index: int) -> Literals:
    """Return the inputs of one element of an array node: items of the lists, and the bound inputs whole."""
    bound = set(bound)
    listed = {name for name, literal in inputs.items() if literal.HasField("collection")} - bound
    return {name: each.collection.literals[index] if name in listed else each for name, each in inputs.items()}
