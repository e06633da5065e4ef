"""What a pruner learns while a trial asks it: brought from the trial's pod to the study."""

from __future__ import annotations

import base64
import zlib
from typing import Any

import cloudpickle
import optuna
from optuna.pruners import BasePruner

from flyteoptuna.core.unpickling import unpickled


def packed(pruner: BasePruner) -> str:
    """A pruner, with all that it has learned, as text; empty where it cannot be pickled."""
    try:
        return base64.b64encode(zlib.compress(cloudpickle.dumps(pruner))).decode()
    except Exception:
        # A study's pruner was pickled for it to come here; what it cannot take back, it learns again.
        return ""


def learn(study: optuna.Study, text: str) -> None:
    """Give a study the pruner that :func:`packed` made text of. It unpickles: only for what its own trials have sent.

    The trials of a batch start from one pruner, and the one that is told last is heard.
    """
    try:
        found: Any = unpickled(zlib.decompress(base64.b64decode(text)))
    except Exception:
        # What it has learned is lost, and the trial is not.
        return
    if isinstance(found, type(study.pruner)):
        study.pruner = found
