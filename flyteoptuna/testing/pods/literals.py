"""Resolve bindings to literals as flytepropeller does (``resolve.go``, ``attr_path_resolver.go``)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgpack
from flyteidl.core import literals_pb2 as pb
from google.protobuf.json_format import MessageToDict

Literals = dict[str, pb.Literal]

NONE_LITERAL = pb.Literal(scalar=pb.Scalar(none_type=pb.Void()))
_START_NODE = "start-node"
# Maximum size of an object that flytepropeller reads, bytes (`GetLimitMegabytes` of its storage).
INLINE_LIMIT = 2 * 1024 * 1024


class UnresolvedBindingError(RuntimeError):
    """flytepropeller could not resolve a binding. Its node fails for good."""


class MessageTooLargeError(RuntimeError):
    """An object exceeds ``INLINE_LIMIT``."""


def primitive_literal(value: str | bool | float) -> pb.Literal:
    """Return the literal of a primitive Python value."""
    names = {bool: "boolean", int: "integer", float: "float_value", str: "string_value"}
    return pb.Literal(scalar=pb.Scalar(primitive=pb.Primitive(**{names[type(value)]: value})))


def list_literal(literals: Iterable[pb.Literal]) -> pb.Literal:
    """Return the literal of a list."""
    return pb.Literal(collection=pb.LiteralCollection(literals=literals))


def binary_literal(value: Any) -> pb.Literal:
    """Return the literal of a value, serialised as msgpack."""
    return pb.Literal(scalar=pb.Scalar(binary=pb.Binary(value=msgpack.dumps(value), tag="msgpack")))


def check_size(what: str, size: int) -> None:
    """Raise ``MessageTooLargeError`` if an object of ``size`` bytes exceeds ``INLINE_LIMIT``."""
    if size > INLINE_LIMIT:
        raise MessageTooLargeError(f"{what} has {size} bytes, over the limit of {INLINE_LIMIT} bytes")


def resolve_bindings(bindings: Iterable[pb.Binding], done: Mapping[str, Literals]) -> Literals:
    """Resolve the bindings of a node or of a workflow's outputs.

    Args:
        bindings: protobufs of variable names and binding data.
        done: outputs of the finished nodes by node ID. Those of ``start-node`` are the workflow's inputs.

    Raises:
        UnresolvedBindingError: a promise refers to an unknown output, key, index or attribute.
    """
    return {binding.var: _resolve_data(binding.binding, done) for binding in bindings}


def _resolve_data(binding: pb.BindingData, done: Mapping[str, Literals]) -> pb.Literal:
    match binding.WhichOneof("value"):
        case "scalar":
            return pb.Literal(scalar=binding.scalar)
        case "collection":
            return list_literal(_resolve_data(item, done) for item in binding.collection.bindings)
        case "map":
            items = {key: _resolve_data(item, done) for key, item in binding.map.bindings.items()}
            return pb.Literal(map=pb.LiteralMap(literals=items))
        case "promise":
            return _resolve_promise(binding.promise, done)
        case _:
            return pb.Literal()


def _resolve_promise(promise: Any, done: Mapping[str, Literals]) -> pb.Literal:
    outputs = done.get(promise.node_id or _START_NODE, {})
    if promise.var not in outputs:
        raise UnresolvedBindingError(f"Failed to find [{promise.node_id}].[{promise.var}]")
    literal = outputs[promise.var]
    return resolve_attribute(literal, promise.attr_path) if promise.attr_path else literal


def resolve_attribute(literal: pb.Literal, path: Iterable[Any]) -> pb.Literal:
    """Follow a promise's attribute path through maps and lists, then into a msgpack binary or a struct.

    At any other scalar, such as a union, the rest of the path is ignored, as in Flyte.
    """
    steps = list(path)
    while steps and literal.WhichOneof("value") in ("map", "collection"):
        items = literal.map.literals if literal.HasField("map") else literal.collection.literals
        literal = _get_item(items, steps.pop(0), mapping=literal.HasField("map"))
    match literal.scalar.WhichOneof("value"):
        case "binary":
            return _msgpack_literal(_follow_path(_unpack(literal.scalar.binary), steps, strict=True))
        case "generic":
            return _struct_literal(_follow_path(MessageToDict(literal.scalar.generic), steps, strict=False))
        case _:
            return literal


def _get_item(items: Any, step: Any, mapping: bool) -> Any:
    key = step.string_value if mapping else step.int_value
    if mapping and key not in items:
        raise UnresolvedBindingError(f"key [{key}] does not exist in literal with keys {sorted(items, key=str)}")
    if not mapping and not 0 <= key < len(items):
        raise UnresolvedBindingError(f"index [{key}] is out of range of {len(items)} items")
    return items[key]


def _follow_path(value: Any, path: Iterable[Any], strict: bool) -> Any:
    for step in path:
        kind = step.WhichOneof("value")
        if isinstance(value, dict) and (kind == "string_value" or not strict):
            value = _get_item(value, step, mapping=True)
        elif isinstance(value, list) and (kind == "int_value" or not strict):
            value = _get_item(value, step, mapping=False)
        elif strict:
            raise UnresolvedBindingError(f"unexpected attribute [{getattr(step, kind)}] of a {type(value).__name__}")
    return value


def _unpack(binary: pb.Binary) -> Any:
    if binary.tag != "msgpack":
        raise UnresolvedBindingError(f"Unsupported format '{binary.tag}' found for literal value")
    return msgpack.loads(binary.value, strict_map_key=False)


def _msgpack_literal(value: Any) -> pb.Literal:
    if isinstance(value, list):
        return list_literal(binary_literal(item) for item in value)
    return primitive_literal(value) if isinstance(value, (str, bool, int, float)) else binary_literal(value)


def _struct_literal(value: Any) -> pb.Literal:
    if isinstance(value, list):
        return list_literal(_struct_literal(item) for item in value)
    if isinstance(value, dict):
        literal = pb.Literal(scalar=pb.Scalar(generic={}))
        literal.scalar.generic.update(value)
        return literal
    return pb.Literal() if value is None else primitive_literal(value)


def element_inputs(inputs: Literals, bound: Iterable[str], index: int) -> Literals:
    """Return the inputs of one element of an array node: an item of each list, and all other inputs unchanged.

    Args:
        inputs: the inputs of the array node.
        bound: names of the inputs that each element gets unchanged, lists too.
        index: index of the element.
    """
    lists = {name for name, literal in inputs.items() if literal.HasField("collection")} - set(bound)
    return {name: literal.collection.literals[index] if name in lists else literal for name, literal in inputs.items()}
