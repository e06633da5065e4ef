"""Inputs of a trial, nested as the objective got them, from what a search has stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from flyteoptuna.internals.optuna_internals import system_attributes
from flyteoptuna.space.given_inputs import read_inputs
from flyteoptuna.space.space import inputs_from_json
from flyteoptuna.trial.marks import INPUTS_ATTRIBUTE, SPACES_ATTRIBUTE, search_number
from flyteoptuna.values.text import exception_line


def stored_inputs(study: optuna.Study, trial: FrozenTrial) -> dict[str, Any]:
    """Inputs of the objective that differ from trial to trial, by name; those that a search varies or a callback makes.

    Raises:
        LookupError: they are not known.
        ValueError: what is stored cannot be read.
    """
    described = f"Trial {trial.number} of study {study.study_name!r} ({trial.state.name})"
    made = trial.system_attrs.get(INPUTS_ATTRIBUTE)
    try:
        if made:
            return read_inputs(made)
        spaces: Mapping[str, Any] = system_attributes(study).get(SPACES_ATTRIBUTE) or {}
        space = spaces.get(str(search_number(trial.system_attrs)))
        found = None if space is None else inputs_from_json(space, trial.params)
    except KeyError as error:
        raise LookupError(f"{described} has no inputs: it ended before its parameter {error} was suggested.") from None
    except Exception as error:
        # A file may hold anything.
        raise ValueError(f"The inputs of {described} cannot be read: {exception_line(error)}") from error
    if found is None:
        raise LookupError(
            f"{described} has no stored inputs, because no search of this version asked it; it has its `params`."
        )
    return found
