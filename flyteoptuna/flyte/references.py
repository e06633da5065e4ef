"""Values that pass through driver pods unread: their Flyte literals, as they came."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any

import msgpack
from flytekit.core.context_manager import FlyteContext, FlyteContextManager
from flytekit.core.type_engine import DictTransformer, ListTransformer, TypeEngine, TypeTransformer
from flytekit.models import types as model_types
from flytekit.models.literals import Binary, Literal, LiteralCollection, Primitive, Scalar
from flytekit.utils.asyn import loop_manager

_PRIMITIVES = {bool: "boolean", int: "integer", float: "float_value", str: "string_value"}


def is_primitive(value: Any, python_type: Any) -> bool:
    """Whether a value is a primitive of Flyte's, of exactly a type."""
    # The literals of these are made and read here, because flytekit takes half a millisecond for each. Other types may
    # have no hash.
    return type(value) is python_type and python_type in _PRIMITIVES


def _primitive(value: Any) -> Literal:
    return Literal(scalar=Scalar(primitive=Primitive(**{_PRIMITIVES[type(value)]: value})))


class Reference:
    """A value that was not read: its literal, as it came."""

    literal: Literal
    _bytes: bytes | None = None

    def __init__(self, literal: Literal) -> None:
        self.literal = literal

    def read(self, python_type: Any) -> Any:
        """The value itself; downloads what the literal refers to, as the type's own transformer does."""
        scalar = self.literal.scalar
        if scalar is not None and scalar.primitive is not None and is_primitive(scalar.primitive.value, python_type):
            return scalar.primitive.value
        ctx = FlyteContextManager.current_context()
        try:
            return TypeEngine.to_python_value(ctx, self.literal, python_type)
        except Exception:
            # A dataclass's field is msgpack in a local run, and on a cluster a primitive if it is a number or a text.
            # Flytekit reads a date from msgpack alone, where it is a text, and an int for a float from the primitive.
            other = _in_other_form(self.literal)
            if other is None:
                raise
            with suppress(Exception):
                return TypeEngine.to_python_value(ctx, other, python_type)
            raise

    def serialised(self) -> bytes:
        """The literal as the bytes that Flyte would keep of it; equal literals have equal ones."""
        if self._bytes is None:
            self._bytes = self.literal.to_flyte_idl().SerializeToString(deterministic=True)
        return self._bytes


def _in_other_form(literal: Literal) -> Literal | None:
    """A primitive as msgpack, or a number or a text in msgpack as a primitive; None for any other literal."""
    found = plain_of(literal)
    if type(found) not in _PRIMITIVES:
        return None
    if literal.scalar.primitive is not None:
        return packed(found)
    return _primitive(found)


def literal_of(data: bytes) -> Literal:
    """The literal of which :meth:`Reference.serialised` has made the bytes."""
    from flyteidl.core import literals_pb2

    return Literal.from_flyte_idl(literals_pb2.Literal.FromString(data))


class _MapReference(dict[str, Reference], Reference):
    def __init__(self, literal: Literal) -> None:
        Reference.__init__(self, literal)
        self.update({key: reference(item) for key, item in literal.map.literals.items()})


class _ListReference(list[Reference], Reference):
    def __init__(self, literal: Literal) -> None:
        Reference.__init__(self, literal)
        self.extend(reference(item) for item in literal.collection.literals)


def reference(literal: Literal) -> Reference:
    """A reference to a literal. To one of a map or a list it holds references to the elements too.

    Flytekit binds maps and lists element by element, and takes only the scalar of any other literal.
    """
    if literal.map is not None:
        return _MapReference(literal)
    return Reference(literal) if literal.collection is None else _ListReference(literal)


def collection(items: Sequence[Reference]) -> Reference:
    """A reference to a list of what is referred to."""
    return reference(Literal(collection=LiteralCollection([item.literal for item in items])))


def refer(value: Any, python_type: Any) -> Reference:
    """A reference to a value, which is uploaded where its type is one that Flyte keeps in a file."""
    if isinstance(value, Reference):
        return value
    if is_primitive(value, python_type):
        return reference(_primitive(value))
    given = FlyteContextManager.current_context(), value, python_type, TypeEngine.to_literal_type(python_type)
    # Flytekit's synchronous way remembers the literals of equal values, as of a file that was written again since.
    return reference(loop_manager.run_sync(TypeEngine.async_to_literal, *given))


def packed(fields: Any) -> Literal:
    """The literal of plain data, in the form that flytekit gives to a dictionary and a dataclass.

    Made here, because flytekit compiles an encoder for each, which takes 10 ms.
    """
    return Literal(scalar=Scalar(binary=Binary(msgpack.dumps(fields), tag="msgpack")))


def unpacked(literal: Literal) -> dict[str, Any]:
    """The fields of what :func:`packed` made, or flytekit; none where the literal is not of that form."""
    scalar = literal.scalar
    if scalar is not None and scalar.union is not None:
        return unpacked(scalar.union.value)
    if scalar is None or scalar.binary is None or scalar.binary.tag != "msgpack":
        return {}
    try:
        fields = msgpack.loads(scalar.binary.value, strict_map_key=False)
    except (ValueError, msgpack.UnpackException):
        return {}
    return fields if isinstance(fields, dict) else {}


def plain_of(value: Any) -> Any:
    """The plain value of a literal of a primitive, of None or of what a struct holds; anything else as it is."""
    scalar = value.scalar if isinstance(value, Literal) else None
    if scalar is None:
        return value
    if scalar.union is not None:
        return plain_of(scalar.union.value)
    if scalar.primitive is not None:
        return scalar.primitive.value
    if scalar.binary is not None and scalar.binary.tag == "msgpack":
        return msgpack.loads(scalar.binary.value, strict_map_key=False)
    return None if scalar.none_type is not None else value


def offloaded(literal: Literal) -> bool:
    """Whether a literal refers to files, as those of a ``FlyteFile``, a directory or a data frame do."""
    if literal.map is not None:
        return any(map(offloaded, literal.map.literals.values()))
    if literal.collection is not None:
        return any(map(offloaded, literal.collection.literals))
    scalar = literal.scalar
    if scalar is not None and scalar.union is not None:
        return offloaded(scalar.union.value)
    return scalar is not None and any((scalar.blob, scalar.schema, scalar.structured_dataset))


class ByRef(TypeTransformer[Any]):
    """Passes values of a type on without reading them, where ``Annotated[T, ByRef(T)]`` stands for ``T``."""

    def __init__(self, python_type: Any, literal_type: model_types.LiteralType | None = None) -> None:
        super().__init__("by reference", Reference, enable_type_assertions=False)
        self.original = python_type
        self._literal_type = literal_type

    def get_literal_type(self, t: Any = None) -> model_types.LiteralType:
        """The literal type of the original."""
        if self._literal_type is None:
            return TypeEngine.to_literal_type(self.original)
        # A copy, for flytekit writes the tag of a union's variant into it.
        return model_types.LiteralType.from_flyte_idl(self._literal_type.to_flyte_idl())

    def to_literal(self, ctx: FlyteContext, python_val: Any, python_type: Any, expected: Any) -> Literal:
        """The literal as it came, or that of a plain value."""
        if isinstance(python_val, Reference):
            return python_val.literal
        return TypeEngine.to_literal(ctx, python_val, self.original, expected)

    def to_python_value(self, ctx: FlyteContext, lv: Literal, expected_python_type: Any) -> Reference:
        """A reference to the literal."""
        return reference(lv)

    def get_sub_type_or_none(self, t: Any) -> Any:
        """By reference too, for flytekit binds a list element by element."""
        inner = ListTransformer.get_sub_type_or_none(self.original)
        return None if inner is None else by_reference(inner)

    def extract_types_or_metadata(self, t: Any) -> tuple[Any, Any]:
        """By reference too, for flytekit binds a dictionary element by element."""
        key, value = DictTransformer.extract_types(self.original)
        return key, None if value is None else by_reference(value)


def by_reference(python_type: Any, literal_type: model_types.LiteralType | None = None) -> Any:
    """The annotation that passes values by reference.

    Args:
        python_type: type of the values.
        literal_type: its Flyte type, where flytekit's own says too little or costs an import.
    """
    return Annotated[python_type, ByRef(python_type, literal_type)]
