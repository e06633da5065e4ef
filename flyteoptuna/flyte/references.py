"""References: values that driver pods pass on as Flyte literals, without reading them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any

import msgpack
from flyteidl.core import literals_pb2
from flytekit.core.context_manager import FlyteContext, FlyteContextManager
from flytekit.core.hash import HashMethod
from flytekit.core.type_engine import DictTransformer, ListTransformer, TypeEngine, TypeTransformer
from flytekit.models import types as model_types
from flytekit.models.literals import Binary, Literal, LiteralCollection, Primitive, Scalar
from flytekit.utils.asyn import loop_manager

from flyteoptuna.values.annotated import strip_annotated

_PRIMITIVES = {bool: "boolean", int: "integer", float: "float_value", str: "string_value"}


def is_primitive(value: Any, python_type: Any) -> bool:
    """Test whether a value is a Flyte primitive, and of exactly the given type."""
    # Primitives are converted here, because flytekit takes 0.5 ms for each. Other types may have no hash.
    return type(value) is python_type and python_type in _PRIMITIVES


def _primitive(value: Any) -> Literal:
    return Literal(scalar=Scalar(primitive=Primitive(**{_PRIMITIVES[type(value)]: value})))


class Reference:
    """An unread value: its Flyte literal."""

    _bytes: bytes | None = None

    def __init__(self, literal: Literal) -> None:
        self.literal = literal

    def read(self, python_type: Any) -> Any:
        """Read the value by the transformer of a type, which may download a file."""
        scalar = self.literal.scalar
        if scalar is not None and scalar.primitive is not None and is_primitive(scalar.primitive.value, python_type):
            return scalar.primitive.value
        ctx = FlyteContextManager.current_context()
        try:
            return TypeEngine.to_python_value(ctx, self.literal, python_type)
        except Exception:
            # The field of a dataclass is msgpack in a local run. On a cluster, a number or a string is a primitive.
            # Flytekit reads a date, a string, from msgpack alone, and an int as a float from a primitive alone.
            other = _in_other_form(self.literal)
            if other is None:
                raise
            with suppress(Exception):
                return TypeEngine.to_python_value(ctx, other, python_type)
            raise

    def for_other_process(self, folder: str) -> bytes:
        """Serialise the reference for another process of this machine; ``folder`` is for files that this takes."""
        return self.serialised()

    def serialised(self) -> bytes:
        """Serialise the literal as Flyte does; equal literals have equal bytes."""
        if self._bytes is None:
            self._bytes = self.literal.to_flyte_idl().SerializeToString(deterministic=True)
        return self._bytes


def _in_other_form(literal: Literal) -> Literal | None:
    """Convert a primitive to msgpack, or msgpack of a primitive to the primitive; None for any other literal."""
    value = literal_value(literal)
    if type(value) not in _PRIMITIVES:
        return None
    return _primitive(value) if literal.scalar.primitive is None else msgpack_literal(value)


def literal_from_bytes(data: bytes) -> Literal:
    """Read the bytes of ``Reference.serialised``."""
    return Literal.from_flyte_idl(literals_pb2.Literal.FromString(data))


class _MapReference(dict[str, Reference], Reference):
    def __init__(self, literal: Literal) -> None:
        Reference.__init__(self, literal)
        self.update({key: make_reference(item) for key, item in literal.map.literals.items()})


class _ListReference(list[Reference], Reference):
    def __init__(self, literal: Literal) -> None:
        Reference.__init__(self, literal)
        self.extend(make_reference(item) for item in literal.collection.literals)


def make_reference(literal: Literal) -> Reference:
    """Reference to a literal; a reference to a map or a list holds references to the elements.

    Flytekit binds maps and lists element by element, and uses only the scalar of any other literal.
    """
    if literal.map is not None:
        return _MapReference(literal)
    return Reference(literal) if literal.collection is None else _ListReference(literal)


def list_reference(items: Sequence[Reference]) -> Reference:
    """Reference to the list of several references."""
    return make_reference(Literal(collection=LiteralCollection([item.literal for item in items])))


def to_reference(value: Any, python_type: Any) -> Reference:
    """Reference to a value, which is uploaded if Flyte keeps its type in a file."""
    if isinstance(value, Reference):
        return value
    if is_primitive(value, python_type):
        return make_reference(_primitive(value))
    ctx, literal_type = FlyteContextManager.current_context(), TypeEngine.to_literal_type(python_type)
    # `TypeEngine.to_literal` caches the literals of equal values, such as a file that has been overwritten since.
    return make_reference(loop_manager.run_sync(TypeEngine.async_to_literal, ctx, value, python_type, literal_type))


def msgpack_literal(fields: Any) -> Literal:
    """Convert JSON-like data to a literal, as flytekit converts a dictionary or a dataclass.

    Flytekit compiles an encoder for each, which takes 10 ms.
    """
    return Literal(scalar=Scalar(binary=Binary(msgpack.dumps(fields), tag="msgpack")))


def msgpack_fields(literal: Literal) -> dict[str, Any]:
    """Fields of a dictionary or a dataclass in a literal; empty for any other literal."""
    try:
        fields = literal_value(literal)
    except (ValueError, msgpack.UnpackException):
        return {}
    return fields if isinstance(fields, dict) else {}


def literal_value(value: Any) -> Any:
    """Python value of a literal of a primitive, of None or of msgpack; any other value unchanged."""
    scalar = value.scalar if isinstance(value, Literal) else None
    if scalar is None:
        return value
    if scalar.union is not None:
        return literal_value(scalar.union.value)
    if scalar.primitive is not None:
        return scalar.primitive.value
    if scalar.binary is not None and scalar.binary.tag == "msgpack":
        return msgpack.loads(scalar.binary.value, strict_map_key=False)
    return None if scalar.none_type is not None else value


def is_offloaded(literal: Literal) -> bool:
    """Test whether a literal refers to files: a ``FlyteFile``, a directory, a data frame, or a list or map with one."""
    if literal.map is not None:
        return any(map(is_offloaded, literal.map.literals.values()))
    if literal.collection is not None:
        return any(map(is_offloaded, literal.collection.literals))
    scalar = literal.scalar
    if scalar is not None and scalar.union is not None:
        return is_offloaded(scalar.union.value)
    return scalar is not None and any((scalar.blob, scalar.schema, scalar.structured_dataset))


class ByReference(TypeTransformer[Any]):
    """Transformer that passes values of a type on without reading them; see ``by_reference``."""

    def __init__(self, python_type: Any, literal_type: model_types.LiteralType | None = None) -> None:
        super().__init__("by reference", Reference, enable_type_assertions=False)
        self.original = python_type
        self._literal_type = literal_type

    def get_literal_type(self, t: Any = None) -> model_types.LiteralType:
        """Literal type of the original."""
        if self._literal_type is None:
            return TypeEngine.to_literal_type(self.original)
        # A copy, because flytekit writes the tag of a union's variant into it.
        return model_types.LiteralType.from_flyte_idl(self._literal_type.to_flyte_idl())

    def to_literal(self, ctx: FlyteContext, python_val: Any, python_type: Any, expected: Any) -> Literal:
        """Literal of a reference, unchanged, or of a value."""
        if isinstance(python_val, Reference):
            return python_val.literal
        return TypeEngine.to_literal(ctx, python_val, self.original, expected)

    def to_python_value(self, ctx: FlyteContext, lv: Literal, expected_python_type: Any) -> Reference:
        """Reference to the literal."""
        return make_reference(lv)

    def get_sub_type_or_none(self, t: Any) -> Any:
        """Element type of a list, by reference, because flytekit binds a list element by element."""
        inner = ListTransformer.get_sub_type_or_none(self.original)
        return None if inner is None else by_reference(inner)

    def extract_types_or_metadata(self, t: Any) -> tuple[Any, Any]:
        """Key and value types of a dictionary, by reference, because flytekit binds it element by element."""
        key, value = DictTransformer.extract_types(self.original)
        return key, None if value is None else by_reference(value)


class _ReferenceHash(HashMethod[Any]):
    """Hash of a reference's literal. Without it, flytekit removes the hash when it passes the reference on."""

    def __init__(self, python_type: Any) -> None:
        self._original = python_type

    def calculate(self, obj: Any) -> Any:
        """Hash of the literal of a reference, or of a value by the type's own annotation."""
        return obj.literal.hash if isinstance(obj, Reference) else TypeEngine.calculate_hash(obj, self._original)


def by_reference(python_type: Any, literal_type: model_types.LiteralType | None = None) -> Any:
    """Annotation that passes values by reference; ``literal_type`` if flytekit's own is too general or imports much.

    The type's own annotations are dropped, because flytekit applies hash methods, renderers and the like to the
    reference. The transformer has them.
    """
    return Annotated[strip_annotated(python_type), ByReference(python_type, literal_type), _ReferenceHash(python_type)]
