"""Casts between types that Flyte's compiler allows, and conversion of literals that it does not cast to an input.

Flyte checks a value that is bound in the graph of a dynamic task by the type that its literal shows. This type differs
from the declared one if the value was a field of a dataclass, which is msgpack, if its file states another format than
the input, or if Flyte has unwrapped a list that was bound to a union.

Source: ``flytepropeller/pkg/compiler/validators/typing.go`` and ``utils.go`` at v1.16.8.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from typing import Any

from flyteidl.core import literals_pb2 as pb
from flyteidl.core import types_pb2
from flyteidl.core.types_pb2 import LiteralType, SchemaType, SimpleType
from flytekit.core.type_engine import TypeEngine
from flytekit.models.literals import Literal
from google.protobuf.struct_pb2 import Struct

from flyteoptuna.flyte.references import Reference, is_primitive, make_reference, to_reference
from flyteoptuna.values.text import exception_line

NONE = LiteralType(simple=SimpleType.NONE)
# Simple types of a structured dataset's columns, by the column types of a schema.
_COLUMNS = {
    getattr(SchemaType.SchemaColumn, name): getattr(SimpleType, name)
    for name in ("INTEGER", "FLOAT", "STRING", "BOOLEAN", "DATETIME", "DURATION")
}
# Test whether a struct with the first JSON schema casts to a struct with the second.
Schemas = Callable[[Struct, Struct], bool]


def can_cast(upstream: LiteralType, downstream: LiteralType, schemas: Schemas = operator.eq) -> bool:
    """Test whether a value of one Flyte type may be bound to an input of another."""
    variants = upstream.union_type.variants
    one_variant_casts = len(variants) == 1 and _casts(variants[0], downstream, schemas)
    return one_variant_casts or _casts(upstream, downstream, schemas)


def _is_none(kind: LiteralType) -> bool:
    return bool(kind.HasField("simple") and kind.simple == SimpleType.NONE)


def _casts(upstream: LiteralType, downstream: LiteralType, schemas: Schemas) -> bool:
    match downstream.WhichOneof("type"):
        case "collection_type" | "map_value_type" as field:
            # An empty list or dictionary has elements of no type, and casts to any.
            inner = getattr(upstream, field)
            return upstream.HasField(field) and (_is_none(inner) or _casts(inner, getattr(downstream, field), schemas))
        case "blob":
            formats = {upstream.blob.format, downstream.blob.format}
            return upstream.HasField("blob") and ("" in formats or len(formats) == 1)
        case "schema":
            return _tables_cast(upstream, downstream, schemas)
        case "structured_dataset_type":
            return _is_none(upstream) or _tables_cast(upstream, downstream, schemas)
        case "union_type":
            return _to_union(upstream, downstream.union_type.variants, schemas)
        case "simple" if downstream.simple == SimpleType.NONE:
            return _is_none(upstream)
        case _:
            return _to_simple(upstream, downstream, schemas)


def _to_simple(upstream: LiteralType, downstream: LiteralType, schemas: Schemas) -> bool:
    one_is_enum = upstream.HasField("enum_type") or downstream.HasField("enum_type")
    if one_is_enum and SimpleType.STRING in (upstream.simple, downstream.simple):
        return True
    if upstream.structure.tag and upstream.structure.tag != downstream.structure.tag:
        return False
    if upstream.simple == downstream.simple == SimpleType.STRUCT:
        both = upstream.HasField("metadata") and downstream.HasField("metadata")
        return not both or schemas(upstream.metadata, downstream.metadata)
    return bool(_bare(upstream) == _bare(downstream))


def _bare(kind: LiteralType) -> LiteralType:
    bare = LiteralType()
    bare.CopyFrom(kind)
    for field in ("structure", "metadata", "annotation"):
        bare.ClearField(field)
    return bare


def _to_union(upstream: LiteralType, variants: Iterable[LiteralType], schemas: Schemas) -> bool:
    if upstream.HasField("union_type"):
        return all(any(can_cast(each, v, schemas) for v in variants) for each in upstream.union_type.variants)
    # Flyte refuses a value that fits several variants.
    return [can_cast(upstream, variant, schemas) for variant in variants].count(True) == 1


def _tables_cast(upstream: LiteralType, downstream: LiteralType, schemas: Schemas) -> bool:
    """Test whether the columns of one table type cast to those of another; a table type without columns fits any."""
    fields = {upstream.WhichOneof("type"), downstream.WhichOneof("type")}
    (source, columns), (target, wanted) = _format_and_columns(upstream), _format_and_columns(downstream)
    if not fields <= {"schema", "structured_dataset_type"} or ("" not in (source, target) and source != target):
        return False

    def column_casts(up: LiteralType, down: LiteralType) -> bool:
        if "schema" in fields:
            return bool(up.simple == down.simple)
        return up.WhichOneof("type") is not None and _casts(up, down, schemas)

    known = dict(columns)
    return not known or all(name in known and column_casts(known[name], kind) for name, kind in wanted)


def _format_and_columns(table: LiteralType) -> tuple[str, list[tuple[str, LiteralType]]]:
    if table.HasField("schema"):
        return "parquet", [(column.name, LiteralType(simple=_COLUMNS[column.type])) for column in table.schema.columns]
    dataset = table.structured_dataset_type
    return dataset.format.lower(), [(column.name, column.literal_type) for column in dataset.columns]


_PRIMITIVE_TYPES = {
    "integer": SimpleType.INTEGER,
    "float_value": SimpleType.FLOAT,
    "string_value": SimpleType.STRING,
    "boolean": SimpleType.BOOLEAN,
    "datetime": SimpleType.DATETIME,
    "duration": SimpleType.DURATION,
}


def infer_scalar_type(scalar: pb.Scalar) -> LiteralType | None:
    """Flyte type that the compiler infers from a scalar; None if it infers none."""
    match scalar.WhichOneof("value"):
        case "primitive":
            return LiteralType(simple=_PRIMITIVE_TYPES.get(scalar.primitive.WhichOneof("value"), SimpleType.NONE))
        case "blob":
            metadata = scalar.blob.metadata
            return LiteralType(blob=_stated_type(metadata, "type")) if scalar.blob.HasField("metadata") else None
        case "binary":
            packed = scalar.binary.tag == "msgpack"
            return LiteralType(simple=SimpleType.STRUCT if packed else SimpleType.BINARY)
        case "schema":
            return LiteralType(schema=_stated_type(scalar.schema, "type"))
        case "structured_dataset":
            metadata = scalar.structured_dataset.metadata
            return LiteralType(structured_dataset_type=_stated_type(metadata, "structured_dataset_type"))
        case "none_type":
            return NONE
        case "error" | "generic" as field:
            return LiteralType(simple=SimpleType.ERROR if field == "error" else SimpleType.STRUCT)
        case "union":
            return LiteralType(union_type=types_pb2.UnionType(variants=[scalar.union.type]))
        case _:
            return None


def _stated_type(message: Any, field: str) -> Any:
    """Type that a scalar states; None, which casts to nothing, if it states none."""
    return getattr(message, field) if message.HasField(field) else None


def convert_literal(reference: Reference, python_type: Any, name: str) -> Reference:
    """Convert a value to a literal that may be bound to an input of a type.

    The literal of a file, a directory or a data frame gets another format or other columns, and the file is not read.
    All other values are read and converted again, as in flytekit's own dynamic tasks; ``ValueError``, with the name of
    the input, if a value is not of the type.
    """
    scalar = reference.literal.scalar
    if scalar is not None and scalar.primitive is not None and is_primitive(scalar.primitive.value, python_type):
        return reference
    target = TypeEngine.to_literal_type(python_type).to_flyte_idl()
    literal = reference.literal.to_flyte_idl()
    if can_bind(literal, target):
        return reference
    labelled = _relabel(literal, target)
    if can_bind(labelled, target):
        return make_reference(Literal.from_flyte_idl(labelled))
    try:
        return to_reference(reference.read(python_type), python_type)
    except Exception as error:
        raise ValueError(f"The input `{name}` is not of its type, {python_type}: {exception_line(error)}") from error


def can_bind(literal: pb.Literal, target: types_pb2.LiteralType) -> bool:
    """Test whether a literal may be bound, as a constant, to an input of a type."""
    if literal.HasField("scalar"):
        kind = infer_scalar_type(literal.scalar)
        return kind is not None and can_cast(kind, target)
    field = {"collection": "collection_type", "map": "map_value_type"}.get(literal.WhichOneof("value") or "")
    items = literal.collection.literals or literal.map.literals.values()
    return field is not None and target.HasField(field) and all(can_bind(i, getattr(target, field)) for i in items)


def _relabel(literal: pb.Literal, target: types_pb2.LiteralType) -> pb.Literal:
    """Set formats and columns of a literal to those of a type, or of the first variant of a union that fits."""
    if target.HasField("union_type"):
        if literal.scalar.HasField("union"):
            return _relabel(literal.scalar.union.value, target)
        for variant in target.union_type.variants:
            inner = _relabel(literal, variant)
            if can_bind(inner, variant):
                return pb.Literal(scalar=pb.Scalar(union=pb.Union(value=inner, type=variant)), hash=literal.hash)
        return literal
    copy = pb.Literal()
    copy.CopyFrom(literal)
    match literal.WhichOneof("value"), target.WhichOneof("type"):
        case "collection", "collection_type":
            items = [_relabel(item, target.collection_type) for item in literal.collection.literals]
            copy.collection.CopyFrom(pb.LiteralCollection(literals=items))
        case "map", "map_value_type":
            for key, item in literal.map.literals.items():
                copy.map.literals[key].CopyFrom(_relabel(item, target.map_value_type))
        case "scalar", kind:
            _relabel_scalar(copy.scalar, kind, target)
    return copy


def _relabel_scalar(scalar: pb.Scalar, kind: str | None, target: types_pb2.LiteralType) -> None:
    match scalar.WhichOneof("value"), kind:
        case "blob", "blob" if scalar.blob.metadata.type.dimensionality == target.blob.dimensionality:
            scalar.blob.metadata.type.CopyFrom(target.blob)
        case "structured_dataset", "structured_dataset_type":
            # The format decides how the file is read, and stays.
            stated = scalar.structured_dataset.metadata.structured_dataset_type
            dataset = target.structured_dataset_type
            if stated.format and dataset.format and stated.format.lower() != dataset.format.lower():
                return
            del stated.columns[:]
            stated.columns.extend(dataset.columns)
        case "schema", "schema":
            scalar.schema.type.CopyFrom(target.schema)
