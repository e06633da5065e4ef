"""Flyte types of a study and of its attributes, without an import of optuna."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flytekit.models.types import LiteralType, SimpleType, TypeStructure, UnionType

from flyteoptuna.space.suggestions import Category, Float, Suggestion

# Tag of a study's Flyte type.
STUDY_TAG = "optuna.Study"
# Attributes of a study of one objective alone.
OF_ONE_OBJECTIVE = ("best_value", "best_params", "best_inputs", "best_trial")
# Attributes that are dictionaries, whose fields are known for a search in a workflow alone.
DICTIONARIES = ("best_params", "best_inputs")
COUNTS = ("n_trials", "n_running", "n_complete", "n_pruned", "n_fail", "n_waiting")
# Python types of the attributes of a study in a workflow, by name.
PYTHON_TYPES: dict[str, Any] = {
    "best_value": float,
    "best_params": dict,
    "best_inputs": dict,
    "best_trial": int,
    "best_trials": list[int],
    **dict.fromkeys(COUNTS, int),
}
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


# A struct, whose attributes Flyte checks and resolves one by one.
STUDY_TYPE = LiteralType(
    simple=SimpleType.STRUCT,
    structure=TypeStructure(
        tag=STUDY_TAG, dataclass_type={name: _flyte_type(python_type) for name, python_type in PYTHON_TYPES.items()}
    ),
)


def type_names(suggestion: Suggestion) -> str:
    """Names of the types of a suggestion's values, joined by ``|``."""
    if isinstance(suggestion, Category):
        return "|".join(dict.fromkeys(type(choice).__name__ for choice in suggestion.choice_names()))
    return "float" if isinstance(suggestion, Float) else "int"


def params_type(names: Mapping[str, str]) -> LiteralType:
    """Flyte type of ``best_params``: a struct with a field for each parameter, from its ``type_names``."""
    fields = {}
    for name, kinds in names.items():
        variants = [LiteralType(simple=_SIMPLE[kind]) for kind in kinds.split("|")]
        fields[name] = variants[0] if len(variants) == 1 else LiteralType(union_type=UnionType(variants))
    structure = TypeStructure(tag="", dataclass_type=fields) if fields else None
    return LiteralType(simple=SimpleType.STRUCT, structure=structure)
