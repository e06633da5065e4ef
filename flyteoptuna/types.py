"""Flyte types: ``optuna.Study``, and inputs that pass through drivers by reference."""

from __future__ import annotations

from typing import Annotated, Any

import msgpack
import optuna
from flytekit.core.context_manager import FlyteContext, FlyteContextManager
from flytekit.core.type_engine import TypeEngine, TypeTransformer
from flytekit.models import types as model_types
from flytekit.models.literals import Binary, Literal, Scalar

from flyteoptuna import study as studies

INLINE_LIMIT = 512 * 1024
"""Most bytes of a study that a workflow binds at registration, where Flyte keeps it inline."""

_INTEGER = model_types.LiteralType(simple=model_types.SimpleType.INTEGER)
_COUNTS = ("n_trials", *(f"n_{state.name.lower()}" for state in optuna.trial.TrialState))
_ATTRIBUTES = {
    "best_value": model_types.LiteralType(simple=model_types.SimpleType.FLOAT),
    "best_params": model_types.LiteralType(simple=model_types.SimpleType.STRUCT),
    "best_trial": _INTEGER,
    "best_trials": model_types.LiteralType(collection_type=_INTEGER),
    **{name: _INTEGER for name in _COUNTS},
}


class StudyTransformer(TypeTransformer[optuna.Study]):
    """A study as a struct of its attributes, with its file beside them: by path, or inline at registration."""

    def __init__(self) -> None:
        super().__init__("optuna.Study", optuna.Study)

    def get_literal_type(self, t: type[optuna.Study]) -> model_types.LiteralType:
        """The struct type, whose attributes Flyte checks and resolves by themselves."""
        return model_types.LiteralType(
            simple=model_types.SimpleType.STRUCT,
            structure=model_types.TypeStructure(tag="optuna.Study", dataclass_type=_ATTRIBUTES),
        )

    def to_literal(self, ctx: FlyteContext, python_val: Any, python_type: Any, expected: Any) -> Literal:
        """Save the study.

        Raises:
            ValueError: a study to be bound at registration is larger than ``INLINE_LIMIT``.
        """
        if not isinstance(python_val, optuna.Study):
            raise TypeError(f"Expected an optuna.Study, but got {python_val!r} ({type(python_val).__name__}).")
        data = studies.dumps(python_val)
        fields: dict[str, Any] = studies.summary(python_val)
        registering = ctx.compilation_state is not None and (
            ctx.execution_state is None or ctx.execution_state.mode is None
        )
        if registering:
            if len(data) > INLINE_LIMIT:
                raise ValueError(
                    f"A study bound at registration must have at most {INLINE_LIMIT} bytes when saved, but this has "
                    f"{len(data)}. Let a task return it, and pass the promise."
                )
            fields["_data"] = data
        else:
            local = ctx.file_access.get_random_local_path()
            studies.save(python_val, local)
            fields["_path"] = ctx.file_access.put_raw_data(local)
        return Literal(scalar=Scalar(binary=Binary(value=msgpack.dumps(fields), tag="msgpack")))

    def to_python_value(self, ctx: FlyteContext, lv: Literal, expected_python_type: Any) -> optuna.Study:
        """Load the study.

        Raises:
            StudyFormatError: the literal or the file it names is no study.
        """
        if lv.scalar is None or lv.scalar.binary is None:
            raise studies.StudyFormatError(f"Not the literal of an optuna.Study: {lv}")
        fields = msgpack.loads(lv.scalar.binary.value, strict_map_key=False)
        if "_data" in fields:
            return studies.loads(fields["_data"])
        local = ctx.file_access.get_random_local_path()
        ctx.file_access.get_data(fields["_path"], local)
        return studies.load(local)


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
        from flytekit.core.type_engine import ListTransformer

        inner = ListTransformer.get_sub_type_or_none(self.original)
        return None if inner is None else by_reference(inner)

    def extract_types_or_metadata(self, t: Any) -> tuple[Any, Any]:
        """By reference too, for flytekit binds a dictionary element by element."""
        from flytekit.core.type_engine import DictTransformer

        key, value = DictTransformer.extract_types(self.original)
        return key, None if value is None else by_reference(value)


def by_reference(python_type: Any) -> Any:
    """The annotation that passes values of ``python_type`` by reference."""
    return Annotated[python_type, ByRef(python_type)]


def register() -> None:
    """Make ``optuna.Study`` a Flyte type, once."""
    if optuna.Study not in TypeEngine._REGISTRY:
        TypeEngine.register(StudyTransformer(), additional_types=[studies.SearchStudy])


register()
