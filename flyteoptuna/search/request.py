"""What a call of an optimizer asks for."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cloudpickle

from flyteoptuna.core.space import dumps

COUNTS = {
    "n_trials": int,
    "concurrency": int,
    "batch_size": int,
    "timeout": float | None,
    "max_failures": int | None,
    "avoid_duplicates": bool,
}
"""The settings of a search that may be promises, by the types that Flyte knows them by."""


@dataclass(frozen=True)
class Request:
    """One search, as it was asked for and checked; wherever a user may pass a promise, there may be one.

    Attributes:
        origin: the task to map, or a callback that calls it.
        objective: the task to map.
        varied: the inputs that hold suggestions; none with a callback.
        fixed: the inputs that are the same for every trial.
        study: the study to go on with; None for a new one.
        counts: the settings named in ``COUNTS``.
        callbacks: called after each tell.
        directions: directions of a new study, one a value of the objective; none where that is not known.
        reuse_pods: whether each pod runs one trial after another.
    """

    origin: Any
    objective: Any
    varied: Mapping[str, Any]
    fixed: Mapping[str, Any]
    study: Any
    counts: Mapping[str, Any]
    callbacks: Sequence[Callable[..., None]]
    directions: tuple[str, ...]
    reuse_pods: bool = False

    @property
    def mapped(self) -> tuple[str, ...]:
        """Names of the objective's inputs that differ from trial to trial: with a callback, any may."""
        return tuple(self.varied if self.origin is self.objective else self.objective.python_interface.inputs)

    def space(self) -> str:
        """The suggestions as JSON; empty where a callback makes the inputs."""
        return dumps(self.varied) if self.varied else ""

    def pickled(self) -> str:
        """The callbacks as text, for the road to the driver pods; empty for none."""
        callbacks = list(self.callbacks)
        return base64.b64encode(cloudpickle.dumps(callbacks)).decode() if callbacks else ""
