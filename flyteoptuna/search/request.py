"""What a call of an optimizer asks for."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cloudpickle
from flytekit.core.promise import Promise

from flyteoptuna.core.annotations import bare
from flyteoptuna.core.refusal_words import got
from flyteoptuna.core.space import dumps, suggestions
from flyteoptuna.core.suggestions import Suggestion
from flyteoptuna.core.unpickling import unpickled
from flyteoptuna.flyte.promises import sure
from flyteoptuna.flyte.types.study_attributes import type_names

MOST = 512 * 1024
"""Most bytes that a workflow binds inline for a search's callbacks, sampler and pruner."""

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
        directions: directions of a new study, one a value of the objective.
        sampler: the sampler of a new study; None for the default one.
        pruner: the pruner of a new study; None for none.
        reuse_pods: whether each pod runs one trial after another.
        open_ended: whether the timeout alone ends it, and ``n_trials`` are more than can be run until then.
        pickled: the callbacks, the sampler and the pruner as text, for the road to the driver pods; empty for none.

    Raises:
        TypeError: one of them, or of what the study has, cannot be pickled; names it.
        ValueError: together they are larger than what a workflow binds inline.
    """

    origin: Any
    objective: Any
    varied: Mapping[str, Any]
    fixed: Mapping[str, Any]
    study: Any
    counts: Mapping[str, Any]
    callbacks: Sequence[Callable[..., None]]
    directions: tuple[str, ...]
    sampler: Any = None
    pruner: Any = None
    reuse_pods: bool = False
    open_ended: bool = False
    pickled: str = field(init=False)

    def __post_init__(self) -> None:
        # Here, so that what cannot be pickled is refused before anything runs.
        text = _pickled(self.callbacks, self.sampler, self.pruner, self.study)
        object.__setattr__(self, "pickled", text)

    @property
    def mapped(self) -> tuple[str, ...]:
        """Names of the objective's inputs that differ from trial to trial: with a callback, any may."""
        return tuple(self.varied if self.origin is self.objective else self.objective.python_interface.inputs)

    def space(self) -> str:
        """The suggestions as JSON; empty where a callback makes the inputs."""
        return dumps(self.varied) if self.varied else ""

    @property
    def start(self) -> str:
        """What the search starts from: a ``new`` study, one that it has ``continued``, or ``perhaps`` either.

        Of some promises only the backend knows whether they are of None.
        """
        if self.study is None:
            return "new"
        return "continued" if sure(self.study) else "perhaps"

    @property
    def params(self) -> dict[str, str] | None:
        """The parameters that each trial has, and the names of their types; None with a callback."""
        return (
            {name: self._type_names(name, found) for name, found in suggestions(self.varied)} if self.varied else None
        )

    def _type_names(self, name: str, suggestion: Suggestion) -> str:
        # An input that takes floats is given ints as floats.
        as_float = name in self.varied and bare(self.objective.python_interface.inputs[name]) is float
        kinds = type_names(suggestion)
        return "float" if as_float and {*kinds.split("|")} <= {"int", "float"} else kinds


def _pickled(callbacks: Sequence[Callable[..., None]], sampler: Any, pruner: Any, study: Any) -> str:
    """What a search carries to its driver pods, as text; empty for nothing. See :class:`Request`."""
    carried = {"callbacks": list(callbacks) or None, "sampler": sampler, "pruner": pruner}
    carried = {name: value for name, value in carried.items() if value is not None}
    known = study is not None and not isinstance(study, Promise)
    held = {"study.sampler": study.sampler, "study.pruner": study.pruner} if known else {}
    for name, value in (*carried.items(), *held.items()):
        try:
            unpickled(cloudpickle.dumps(value))
        except Exception as error:
            raise TypeError(
                f"`{name}` must be what cloudpickle can carry to the driver pods, but {got(value)} is not: "
                f"{type(error).__name__}: {error}"
            ) from error
    text = base64.b64encode(cloudpickle.dumps(carried)).decode() if carried else ""
    if len(text) > MOST:
        raise ValueError(
            f"`callbacks`, `sampler` and `pruner` must take at most {MOST} bytes, but take {len(text)}. Let a task "
            "return a study with them, and pass it as `study`."
        )
    return text


def carried(text: str) -> dict[str, Any]:
    """What ``Request.pickled`` holds, by name."""
    found: dict[str, Any] = unpickled(base64.b64decode(text)) if text else {}
    return found
