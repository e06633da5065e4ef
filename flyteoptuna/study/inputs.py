"""``inputs()``: the inputs of a trial, nested as the objective got them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import optuna

from flyteoptuna.space.annotations import convert_suggested
from flyteoptuna.storage.stored_inputs import stored_inputs
from flyteoptuna.study.results import find_trial
from flyteoptuna.values.did_you_mean import did_you_mean, join_names, names_arguments, value_and_type
from flyteoptuna.values.tracebacks import public


@public
@names_arguments
def inputs(study: optuna.Study, number: int, types: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Inputs that the search varied or a callback made for a trial, by name and nested as the objective got them.

    ``best_params`` has the suggestions alone, by their dotted paths. These are whole inputs, with what stands beside
    the suggestions: ``train(**inputs(study, number), data=data)`` calls the objective once more.

    Args:
        study: a study that a search returned, in a task, a notebook or a script, or a loaded one.
        number: number of the trial, for example ``study.best_trial.number``.
        types: Python types to convert inputs to, by name, for dataclasses, models and enums. Default: a dictionary for
            a dataclass or a model, and the name of an enum's member.

    Returns:
        The inputs by name. Fixed inputs of the search, files and data frames are not among them, nor an input of a
        callback whose JSON is longer than 10,000 characters.

    Raises:
        TypeError: an argument of the wrong type.
        LookupError: the study has no trial of that number; its inputs are not known, because no search asked it, or one
            of an earlier version; or ``types`` names no input.
        ValueError: what is stored cannot be read.
    """
    found = stored_inputs(study, find_trial(study, number, "In a workflow, `study.best_inputs` has the best trial's."))
    if types is not None and not isinstance(types, Mapping):
        raise TypeError(
            f"`types` must be a dictionary of types by the names of inputs, but got {value_and_type(types)}."
        )
    for name in types or {}:
        if name not in found:
            raise LookupError(
                f"`types` names no input of trial {number}: it has no {name!r}, but {join_names(found)}."
                f"{did_you_mean(name, found)}"
            )
    return {name: convert_suggested(value, (types or {}).get(name, Any)) for name, value in found.items()}
