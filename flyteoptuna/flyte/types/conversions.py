"""Literals brought to the type that an input declares, where Flyte's compiler would not cast their own.

A value that is bound in the graph of a dynamic task is checked by the type that its literal shows. It differs from the
declared type if the value was a field of a dataclass, which is msgpack, if its file says another format than the input,
or if Flyte has made a plain list of one that was bound to a union.
"""

from __future__ import annotations

from typing import Any

from flyteidl.core import literals_pb2 as pb
from flyteidl.core import types_pb2
from flytekit.core.type_engine import TypeEngine
from flytekit.models.literals import Literal

from flyteoptuna.core.plain_values import said
from flyteoptuna.flyte.references import Reference, is_primitive, refer, reference
from flyteoptuna.flyte.types.casts import castable, type_of_scalar


def converted(given: Reference, python_type: Any, name: str) -> Reference:
    """A reference to the same value, by a literal that may be bound to an input of a type.

    A file, a directory or a frame is not read: its literal says another format or other columns. All else is read, and
    becomes a literal anew, as in flytekit's own dynamic tasks.

    Args:
        given: the value.
        python_type: type of the input.
        name: name of the input, for the error.

    Raises:
        ValueError: the value is not of the type.
    """
    scalar = given.literal.scalar
    if scalar is not None and scalar.primitive is not None and is_primitive(scalar.primitive.value, python_type):
        return given
    wanted = TypeEngine.to_literal_type(python_type).to_flyte_idl()
    literal = given.literal.to_flyte_idl()
    if binds(literal, wanted):
        return given
    labelled = _labelled(literal, wanted)
    if binds(labelled, wanted):
        return reference(Literal.from_flyte_idl(labelled))
    try:
        return refer(given.read(python_type), python_type)
    except Exception as error:
        raise ValueError(f"The input `{name}` is not of its type, {python_type}: {said(error)}") from error


def binds(literal: pb.Literal, wanted: types_pb2.LiteralType) -> bool:
    """Whether a literal may be bound, as a constant, to an input of a type."""
    match literal.WhichOneof("value"):
        case "collection":
            inner = wanted.collection_type
            return wanted.HasField("collection_type") and all(
                binds(item, inner) for item in literal.collection.literals
            )
        case "map":
            inner = wanted.map_value_type
            return wanted.HasField("map_value_type") and all(
                binds(item, inner) for item in literal.map.literals.values()
            )
        case "scalar":
            found = type_of_scalar(literal.scalar)
            return found is not None and castable(found, wanted)
        case _:
            return False


def _labelled(literal: pb.Literal, wanted: types_pb2.LiteralType) -> pb.Literal:
    """A literal whose files and frames say the wanted formats and columns, in the variant of a union that they fit."""
    if wanted.HasField("union_type"):
        if literal.scalar.HasField("union"):
            return _labelled(literal.scalar.union.value, wanted)
        for variant in wanted.union_type.variants:
            inner = _labelled(literal, variant)
            if binds(inner, variant):
                return pb.Literal(scalar=pb.Scalar(union=pb.Union(value=inner, type=variant)), hash=literal.hash)
        return literal
    made = pb.Literal()
    made.CopyFrom(literal)
    match literal.WhichOneof("value"), wanted.WhichOneof("type"):
        case "collection", "collection_type":
            items = [_labelled(item, wanted.collection_type) for item in literal.collection.literals]
            made.collection.CopyFrom(pb.LiteralCollection(literals=items))
        case "map", "map_value_type":
            for key, item in literal.map.literals.items():
                made.map.literals[key].CopyFrom(_labelled(item, wanted.map_value_type))
        case "scalar", kind:
            _label(made.scalar, kind, wanted)
    return made


def _label(scalar: pb.Scalar, kind: str | None, wanted: types_pb2.LiteralType) -> None:
    match scalar.WhichOneof("value"), kind:
        case "blob", "blob" if scalar.blob.metadata.type.dimensionality == wanted.blob.dimensionality:
            scalar.blob.metadata.type.CopyFrom(wanted.blob)
        case "structured_dataset", "structured_dataset_type":
            # The format says how the file is to be read, and stays.
            found = scalar.structured_dataset.metadata.structured_dataset_type
            known = wanted.structured_dataset_type
            if found.format and known.format and found.format.lower() != known.format.lower():
                return
            del found.columns[:]
            found.columns.extend(known.columns)
        case "schema", "schema":
            scalar.schema.type.CopyFrom(wanted.schema)
