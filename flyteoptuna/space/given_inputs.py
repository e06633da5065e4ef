"""Inputs that a callback gave to the objective, as JSON that is stored with the trial."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from flyteoptuna.errors import SpaceError
from flyteoptuna.space.annotations import convert_suggested
from flyteoptuna.space.space import inputs_from_json, space_to_json
from flyteoptuna.space.type_members import dataclass_fields
from flyteoptuna.values.json_values import plain_scalar

# Maximum length of an input's JSON, characters. A larger one is most likely the same for all trials.
MAX_INPUT = 10_000


def inputs_to_json(inputs: Mapping[str, Any], types: Mapping[str, Any]) -> dict[str, str]:
    """Inputs as JSON, by name, as the objective gets them; empty for one longer than ``MAX_INPUT``.

    A dataclass or a model becomes a dictionary of its fields, and a member of an enum its name. What JSON cannot hold,
    such as a file or a data frame, is left out.
    """
    texts = {}
    for name, value in inputs.items():
        try:
            text = space_to_json({name: _plain(convert_suggested(value, types.get(name, Any)))})
        except (SpaceError, RecursionError):
            continue
        texts[name] = text if len(text) <= MAX_INPUT else ""
    return texts


def read_inputs(texts: Mapping[str, str]) -> dict[str, Any]:
    """The inputs that ``inputs_to_json`` wrote, without those that were too large."""
    return {name: value for text in texts.values() if text for name, value in inputs_from_json(text, {}).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    # Files, directories and data frames of flytekit are dataclasses too. This layer does not import flytekit.
    own = not any(base.__module__.startswith("flytekit.") for base in type(value).__mro__)
    fields = dataclass_fields(type(value)) if own else None
    return plain_scalar(value) if fields is None else {name: _plain(getattr(value, name)) for name in fields}
