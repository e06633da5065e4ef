"""What is known of a promise while a workflow is written: whether it is one, and of which Flyte type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flytekit.core.promise import Promise
from flytekit.models.types import LiteralType, SimpleType


def anywhere(value: Any) -> bool:
    """Whether a value is a promise, or a list or a dictionary that holds one."""
    if isinstance(value, Mapping):
        return any(anywhere(inner) for inner in value.values())
    return isinstance(value, Promise) or (isinstance(value, (list, tuple)) and any(anywhere(v) for v in value))


def literal_type(promise: Promise) -> LiteralType | None:
    """The Flyte type of a promise; None where only the backend knows it, as of a workflow's inputs."""
    if promise.is_ready or promise.ref is None or not promise.ref.node_id:
        return None
    interface = getattr(promise.ref.node.flyte_entity, "interface", None)
    if interface is None or promise.ref.var not in interface.outputs:
        return None
    found: LiteralType | None = interface.outputs[promise.ref.var].type
    for step in promise.ref.attr_path or ():
        structure = found.structure if found is not None else None
        fields = (structure.dataclass_type or {}) if structure is not None else {}
        found = fields.get(step)
    return found


def _described(promise: Promise) -> str:
    if promise.is_ready:
        return str(promise.eval()) if promise.val.scalar and promise.val.scalar.primitive else "another type's value"
    found = literal_type(promise)
    return SimpleType.to_string(found.simple) if found is not None and found.simple is not None else str(found)


def check_int(name: str, promise: Promise) -> None:
    """Refuse a promise that is known not to be one of an int.

    Raises:
        TypeError: it is not.
    """
    if promise.is_ready:
        primitive = promise.val.scalar.primitive if promise.val.scalar else None
        wrong = primitive is None or primitive.integer is None
    else:
        found = literal_type(promise)
        wrong = found is not None and found.simple != SimpleType.INTEGER
    if wrong:
        raise TypeError(f"`{name}` must be an int or a promise of one, but got a promise of {_described(promise)}.")


def check_study(name: str, promise: Promise) -> None:
    """Refuse a promise that is known not to be one of a study.

    Raises:
        TypeError: it is not.
    """
    found = literal_type(promise)
    tag = found.structure.tag if found is not None and found.structure is not None else ""
    if found is not None and tag != "optuna.Study":
        kind = _described(promise)
        raise TypeError(f"`{name}` must be an optuna.Study or a promise of one, but got a promise of {kind}.")
