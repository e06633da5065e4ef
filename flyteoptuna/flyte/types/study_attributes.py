"""Flyte types of a study and of its attributes, known without optuna."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flytekit.models.types import LiteralType, SimpleType, TypeStructure, UnionType

from flyteoptuna.core.suggestions import Category, Float, Suggestion

STUDY = "optuna.Study"
"""Tag of a study's Flyte type."""
OF_ONE_OBJECTIVE = ("best_value", "best_params", "best_trial")
"""Attributes that a study of several objectives has not."""
COUNTS = ("n_trials", "n_running", "n_complete", "n_pruned", "n_fail", "n_waiting")
PYTHON_TYPES: dict[str, Any] = {
    "best_value": float,
    "best_params": dict,
    "best_trial": int,
    "best_trials": list[int],
    **dict.fromkeys(COUNTS, int),
}
"""Types of what a study has in a workflow, where no pod reads it."""
ATTRIBUTES = tuple(PYTHON_TYPES)

_SIMPLE = {
    "float": SimpleType.FLOAT,
    "int": SimpleType.INTEGER,
    "str": SimpleType.STRING,
    "bool": SimpleType.BOOLEAN,
    "dict": SimpleType.STRUCT,
    "NoneType": SimpleType.NONE,
}


def _flyte_type(python_type: Any) -> LiteralType:
    if python_type == list[int]:
        return LiteralType(collection_type=_flyte_type(int))
    return LiteralType(simple=_SIMPLE[python_type.__name__])


STUDY_TYPE = LiteralType(
    simple=SimpleType.STRUCT,
    structure=TypeStructure(
        tag=STUDY, dataclass_type={name: _flyte_type(python_type) for name, python_type in PYTHON_TYPES.items()}
    ),
)
"""A struct, whose attributes Flyte checks and resolves by themselves."""


def type_names(suggestion: Suggestion) -> str:
    """Names of the types of what a suggestion may suggest, as a study knows them, joined by bars."""
    if isinstance(suggestion, Category):
        return "|".join(dict.fromkeys(type(choice).__name__ for choice in suggestion.named()))
    return "float" if isinstance(suggestion, Float) else "int"


def params_type(names: Mapping[str, str]) -> LiteralType:
    """The Flyte type of ``best_params``: a struct whose fields, where they are known, are checked one by one.

    Args:
        names: types of the parameters, as :func:`type_names` gives them, by their names.
    """
    fields = {name: _field_type(kinds.split("|")) for name, kinds in names.items()}
    return LiteralType(
        simple=SimpleType.STRUCT, structure=TypeStructure(tag="", dataclass_type=fields) if fields else None
    )


def _field_type(kinds: list[str]) -> LiteralType:
    variants = [LiteralType(simple=_SIMPLE[kind]) for kind in kinds]
    return variants[0] if len(variants) == 1 else LiteralType(union_type=UnionType(variants))
