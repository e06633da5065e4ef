"""What is known of a promise while a workflow is written: whether it is one, and of which Flyte type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flytekit.core.promise import Promise
from flytekit.models.types import LiteralType, SimpleType

_OF_ONE_OBJECTIVE = ("best_value", "best_params", "best_trial")
COUNTS = ("n_trials", "n_running", "n_complete", "n_pruned", "n_fail", "n_waiting")
ATTRIBUTES = (*_OF_ONE_OBJECTIVE, "best_trials", *COUNTS)
"""What a study has in a workflow, where no pod reads it."""
STUDY = "optuna.Study"
"""Tag of a study's Flyte type."""


class StudyPromise(Promise):
    """The promise of a search's study. It refuses at once what Flyte would not find once the search has run."""

    def __init__(self, var: str, val: Any, literal_type: LiteralType | None, several: bool) -> None:
        super().__init__(var, val, literal_type)
        self._several = several

    def __getattr__(self, key: str) -> Promise:
        if key.startswith("_"):
            raise AttributeError(key)
        if key not in ATTRIBUTES:
            raise AttributeError(
                f"A study has no `{key}` in a workflow; it has: {', '.join(ATTRIBUTES)}. A task that takes "
                "`study: optuna.Study` gets all of it."
            )
        if self._several and key in _OF_ONE_OBJECTIVE:
            raise AttributeError(f"A study of several objectives has no `{key}`, but `best_trials`.")
        return super().__getattr__(key)

    def __getitem__(self, key: Any) -> Promise:
        raise TypeError(f"A study has attributes, as `study.best_value`, and no items, but got study[{key!r}].")


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


def _kind(promise: Promise) -> str | None:
    """Name of a promise's type, or of that of the value that it has in a local run; None where it is not known."""
    if promise.is_ready:
        scalar = promise.val.scalar
        if scalar is None or scalar.primitive is None:
            return STUDY if scalar is not None and scalar.binary is not None else "another type"
        return type(scalar.primitive.value).__name__
    found = literal_type(promise)
    if found is None:
        return None
    if found.structure is not None and found.structure.tag:
        return str(found.structure.tag)
    names = {SimpleType.INTEGER: "int", SimpleType.FLOAT: "float", SimpleType.STRING: "str", SimpleType.BOOLEAN: "bool"}
    return names.get(found.simple, "another type")


def check(name: str, promise: Promise, wanted: str) -> None:
    """Refuse a promise that is known not to be one of the wanted type.

    Args:
        name: the argument that it was passed for.
        promise: the promise.
        wanted: ``int``, ``float`` or :data:`STUDY`.

    Raises:
        TypeError: it is of another type.
    """
    kind = _kind(promise)
    if kind is not None and kind != wanted:
        hint = " Annotate the workflow's input as float." if (wanted, kind) == ("float", "int") else ""
        raise TypeError(f"`{name}` must be of type {wanted} or a promise of it, but got a promise of {kind}.{hint}")
