"""Pickles in the trials of a study that is not trusted: set aside under another name, where nothing loads them.

Trust thus travels with the trial: through copies, files, databases and further searches. Outputs that are set aside are
listed like others, and read only as what is no pickle.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable

from optuna.trial import FrozenTrial

from flyteoptuna.internals.optuna_internals import holds_pickle
from flyteoptuna.storage.search_study import SearchStudy
from flyteoptuna.trial.marks import OUTPUTS_ATTRIBUTE, UNTRUSTED_ATTRIBUTE


def set_pickles_aside(study: SearchStudy) -> None:
    """Set aside the outputs and the samplers' pickles of all trials of a study in memory, in place."""
    changed = False
    for trial in study.get_trials(deepcopy=False):
        if names := [n for n in trial.system_attrs if n == OUTPUTS_ATTRIBUTE or holds_pickle(n)]:
            _set_aside(trial, names)
            changed = True
    if changed:
        # The rows hold the attributes as they were.
        study.written = None


def with_outputs_aside(trial: FrozenTrial) -> FrozenTrial:
    """The trial, or a copy with its outputs set aside if it has any."""
    if OUTPUTS_ATTRIBUTE in trial.system_attrs:
        trial = copy.copy(trial)
        _set_aside(trial, [OUTPUTS_ATTRIBUTE])
    return trial


def _set_aside(trial: FrozenTrial, names: Iterable[str]) -> None:
    attributes = dict(trial.system_attrs)
    before = attributes.get(UNTRUSTED_ATTRIBUTE)
    aside = dict(before) if isinstance(before, dict) else {}
    for name in names:
        value, earlier = attributes.pop(name), aside.get(name)
        # A trial that was enqueued there, and has run here, has outputs of both.
        aside[name] = {**earlier, **value} if isinstance(value, dict) and isinstance(earlier, dict) else value
    trial.system_attrs = {**attributes, UNTRUSTED_ATTRIBUTE: aside}
