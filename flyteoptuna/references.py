"""Values that pass through driver pods unread: their Flyte literals, as they came."""

from __future__ import annotations

from typing import Annotated, Any

from flytekit.core.context_manager import FlyteContext, FlyteContextManager
from flytekit.core.type_engine import DictTransformer, ListTransformer, TypeEngine, TypeTransformer
from flytekit.models import types as model_types
from flytekit.models.literals import Literal


class Reference:
    """A value that was not read: its literal, as it came."""

    literal: Literal

    def read(self, python_type: Any) -> Any:
        """The value itself; downloads what the literal refers to, as the type's own transformer does."""
        return TypeEngine.to_python_value(FlyteContextManager.current_context(), self.literal, python_type)


class _MapReference(dict[str, Reference], Reference):
    pass


class _ListReference(list[Reference], Reference):
    pass


def reference(literal: Literal) -> Reference:
    """A reference to a literal. To one of a map or a list it holds references to the elements too.

    Flytekit binds maps and lists element by element, and takes only the scalar of any other literal.
    """
    made: Reference
    if literal.map is not None:
        made = _MapReference({key: reference(item) for key, item in literal.map.literals.items()})
    elif literal.collection is not None:
        made = _ListReference(reference(item) for item in literal.collection.literals)
    else:
        made = Reference()
    made.literal = literal
    return made


def refer(value: Any, python_type: Any) -> Reference:
    """A reference to a value, which is uploaded where its type is one that Flyte keeps in a file."""
    if isinstance(value, Reference):
        return value
    ctx = FlyteContextManager.current_context()
    return reference(TypeEngine.to_literal(ctx, value, python_type, TypeEngine.to_literal_type(python_type)))


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

    def __init__(self, python_type: Any) -> None:
        super().__init__("by reference", Reference, enable_type_assertions=False)
        self.original = python_type

    def get_literal_type(self, t: Any = None) -> model_types.LiteralType:
        """The literal type of the original."""
        return TypeEngine.to_literal_type(self.original)

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


def by_reference(python_type: Any) -> Any:
    """The annotation that passes values of ``python_type`` by reference."""
    return Annotated[python_type, ByRef(python_type)]
