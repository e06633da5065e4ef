"""Bring the state of a pruner from a trial's pod to the study."""

from __future__ import annotations

import base64
import zlib
from typing import Any

import cloudpickle
import optuna
from optuna.pruners import BasePruner

from flyteoptuna.internals.cloudpickle_internals import unpickle


def serialise_pruner(pruner: BasePruner) -> str:
    """A pickled pruner as text; empty if it cannot be pickled."""
    try:
        return base64.b64encode(zlib.compress(cloudpickle.dumps(pruner))).decode()
    except Exception:
        # The study keeps its own pruner, which learns again.
        return ""


def restore_pruner(study: optuna.Study, text: str) -> None:
    """Replace the pruner of a study by one from ``serialise_pruner``. It unpickles: only for reports of own trials.

    All trials of a batch start from the same pruner, and the trial that is told last determines the study's.
    """
    try:
        pruner: Any = unpickle(zlib.decompress(base64.b64decode(text)))
    except Exception:
        # The trial itself is still told.
        return
    if isinstance(pruner, type(study.pruner)):
        study.pruner = pruner
