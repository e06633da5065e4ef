"""Type casts as Flyte's compiler allows them, and the type that it infers of a literal.

Source: ``flytepropeller/pkg/compiler/validators/typing.go`` and ``utils.go`` at v1.16.8.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from flyteidl.core import literals_pb2 as pb
from flyteidl.core import types_pb2
from flyteidl.core.types_pb2 import LiteralType, SchemaType, SimpleType
from google.protobuf.struct_pb2 import Struct

NONE = LiteralType(simple=SimpleType.NONE)
_COLUMNS = {
    getattr(SchemaType.SchemaColumn, name): getattr(SimpleType, name)
    for name in ("INTEGER", "FLOAT", "STRING", "BOOLEAN", "DATETIME", "DURATION")
}
"""Column types of a schema, by the simple types of a structured dataset's columns."""
_PARQUET = "parquet"


def equal_schemas(upstream: Struct, downstream: Struct) -> bool:
    """Compare the JSON schemas of two structs."""
    return bool(upstream == downstream)


Schemas = Callable[[Struct, Struct], bool]
"""Whether a struct with one JSON schema casts to a struct with another one."""


def castable(upstream: LiteralType, downstream: LiteralType, schemas: Schemas = equal_schemas) -> bool:
    """Whether a value of one Flyte type may be bound to an input of another.

    Args:
        upstream: type of the value.
        downstream: type of the input.
        schemas: compares two JSON schemas.
    """
    variants = upstream.union_type.variants
    if len(variants) == 1 and _casts(variants[0], downstream, schemas):
        return True
    return _casts(upstream, downstream, schemas)


def _kind(found: LiteralType) -> str | None:
    kind: str | None = found.WhichOneof("type")
    return kind


def _is_none(found: LiteralType) -> bool:
    return _kind(found) == "simple" and found.simple == SimpleType.NONE


def _casts(upstream: LiteralType, downstream: LiteralType, schemas: Schemas) -> bool:
    match _kind(downstream):
        case "collection_type" | "map_value_type" as field:
            # An empty list or dictionary, whose elements are of no type, fits any.
            inner = getattr(upstream, field)
            return upstream.HasField(field) and (_is_none(inner) or _casts(inner, getattr(downstream, field), schemas))
        case "blob":
            formats = {upstream.blob.format, downstream.blob.format}
            return upstream.HasField("blob") and ("" in formats or len(formats) == 1)
        case "schema":
            return _to_schema(upstream, downstream.schema)
        case "structured_dataset_type":
            return _is_none(upstream) or _to_dataset(upstream, downstream.structured_dataset_type, schemas)
        case "union_type":
            return _to_union(upstream, downstream.union_type.variants, schemas)
        case "simple" if downstream.simple == SimpleType.NONE:
            return _is_none(upstream)
        case _:
            return _to_simple(upstream, downstream, schemas)


def _to_simple(upstream: LiteralType, downstream: LiteralType, schemas: Schemas) -> bool:
    kinds = _kind(upstream), _kind(downstream)
    if kinds[0] == "enum_type" and downstream.simple == SimpleType.STRING:
        return True
    if kinds[1] == "enum_type" and upstream.simple == SimpleType.STRING:
        return True
    if upstream.structure.tag and upstream.structure.tag != downstream.structure.tag:
        return False
    if upstream.simple == downstream.simple == SimpleType.STRUCT:
        both = upstream.HasField("metadata") and downstream.HasField("metadata")
        return not both or schemas(upstream.metadata, downstream.metadata)
    return bool(_bare(upstream) == _bare(downstream))


def _bare(found: LiteralType) -> LiteralType:
    bare = LiteralType()
    bare.CopyFrom(found)
    for field in ("structure", "metadata", "annotation"):
        bare.ClearField(field)
    return bare


def _to_union(upstream: LiteralType, variants: Iterable[LiteralType], schemas: Schemas) -> bool:
    if upstream.HasField("union_type"):
        return all(any(castable(each, v, schemas) for v in variants) for each in upstream.union_type.variants)
    # Of several variants that fit, Flyte would not know which one is meant.
    return [castable(upstream, variant, schemas) for variant in variants].count(True) == 1


def _to_schema(upstream: LiteralType, schema: SchemaType) -> bool:
    if upstream.HasField("schema"):
        return _columns_cast(upstream.schema.columns, schema.columns, lambda up, down: bool(up.type == down.type))
    dataset = upstream.structured_dataset_type
    if not upstream.HasField("structured_dataset_type") or dataset.format.lower() not in ("", _PARQUET):
        return False
    return _columns_cast(
        dataset.columns, schema.columns, lambda up, down: _COLUMNS.get(down.type) == up.literal_type.simple
    )


def _to_dataset(upstream: LiteralType, dataset: types_pb2.StructuredDatasetType, schemas: Schemas) -> bool:
    if upstream.HasField("schema"):
        return dataset.format.lower() in ("", _PARQUET) and _columns_cast(
            upstream.schema.columns,
            dataset.columns,
            lambda up, down: _COLUMNS.get(up.type) == down.literal_type.simple,
        )
    given = upstream.structured_dataset_type
    if not upstream.HasField("structured_dataset_type"):
        return False
    formats = {given.format.lower(), dataset.format.lower()}
    return ("" in formats or len(formats) == 1) and _columns_cast(
        given.columns,
        dataset.columns,
        lambda up, down: up.HasField("literal_type") and _casts(up.literal_type, down.literal_type, schemas),
    )


def _columns_cast(upstream: Any, downstream: Any, cast: Callable[[Any, Any], bool]) -> bool:
    """Whether all columns that are wanted are there, with types that fit; no columns are any."""
    known = {column.name: column for column in upstream}
    return (
        not len(upstream)
        or not len(downstream)
        or all(column.name in known and cast(known[column.name], column) for column in downstream)
    )


_PRIMITIVES = {
    "integer": SimpleType.INTEGER,
    "float_value": SimpleType.FLOAT,
    "string_value": SimpleType.STRING,
    "boolean": SimpleType.BOOLEAN,
    "datetime": SimpleType.DATETIME,
    "duration": SimpleType.DURATION,
}


def type_of_scalar(scalar: pb.Scalar) -> LiteralType | None:
    """The Flyte type that the compiler infers of a scalar; None where it knows none."""
    match scalar.WhichOneof("value"):
        case "primitive":
            return LiteralType(simple=_PRIMITIVES.get(scalar.primitive.WhichOneof("value"), SimpleType.NONE))
        case "blob":
            metadata = scalar.blob.metadata
            return LiteralType(blob=_type_in(metadata, "type")) if scalar.blob.HasField("metadata") else None
        case "binary":
            packed = scalar.binary.tag == "msgpack"
            return LiteralType(simple=SimpleType.STRUCT if packed else SimpleType.BINARY)
        case "schema":
            return LiteralType(schema=_type_in(scalar.schema, "type"))
        case "structured_dataset":
            metadata = scalar.structured_dataset.metadata
            return LiteralType(structured_dataset_type=_type_in(metadata, "structured_dataset_type"))
        case "none_type":
            return NONE
        case "error":
            return LiteralType(simple=SimpleType.ERROR)
        case "generic":
            return LiteralType(simple=SimpleType.STRUCT)
        case "union":
            return LiteralType(union_type=types_pb2.UnionType(variants=[scalar.union.type]))
        case _:
            return None


def _type_in(message: Any, field: str) -> Any:
    """The type that a scalar names; None where it names none, which casts to nothing."""
    return getattr(message, field) if message.HasField(field) else None


def type_of(literal: pb.Literal) -> LiteralType | None:
    """The Flyte type that the compiler infers of a literal; None where it knows none."""
    match literal.WhichOneof("value"):
        case "scalar":
            return type_of_scalar(literal.scalar)
        case "collection":
            return LiteralType(collection_type=_common(literal.collection.literals))
        case "map":
            return LiteralType(map_value_type=_common(literal.map.literals.values()))
        case "offloaded_metadata":
            metadata = literal.offloaded_metadata
            return metadata.inferred_type if metadata.HasField("inferred_type") else None
        case _:
            return None


def _common(literals: Iterable[pb.Literal]) -> LiteralType | None:
    """The type of the elements of a list or a dictionary: a union, where they are of several."""
    found: dict[bytes, LiteralType] = {}
    empty = None
    for literal in literals:
        inner = type_of(literal)
        if literal.HasField("collection") and not literal.collection.literals:
            empty = inner
        else:
            found.setdefault(
                b"" if inner is None else inner.SerializeToString(deterministic=True), inner or LiteralType()
            )
    kinds = [*found.values()] or ([] if empty is None else [empty])
    if len(kinds) < 2:
        return kinds[0] if kinds else NONE
    kinds.sort(key=str)
    nested = any(kind.collection_type.HasField("union_type") for kind in kinds)
    variants = [
        variant
        for kind in kinds
        for variant in (
            kind.collection_type.union_type.variants if kind.collection_type.HasField("union_type") else [kind]
        )
    ]
    union = LiteralType(union_type=types_pb2.UnionType(variants=variants))
    return LiteralType(collection_type=union) if nested else union
