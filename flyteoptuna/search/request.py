"""A search as an optimizer's call requests it."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cloudpickle
from flytekit.core.promise import Promise

from flyteoptuna.flyte.promises import is_never_none
from flyteoptuna.flyte.types.study_attributes import type_names
from flyteoptuna.internals.cloudpickle_internals import unpickle
from flyteoptuna.space.space import iter_suggestions, space_to_json
from flyteoptuna.space.suggestions import Suggestion
from flyteoptuna.study.settings import SearchSettings
from flyteoptuna.values.annotated import strip_annotated
from flyteoptuna.values.did_you_mean import value_and_type
from flyteoptuna.values.text import exception_line

# Maximum size of the pickled callbacks, sampler and pruner, which a workflow binds inline; bytes as base64.
MAX_PICKLED = 512 * 1024

# Flyte types of the settings that may be promises, by name.
PROMISABLE = {
    "n_trials": int,
    "concurrency": int,
    "batch_size": int,
    "timeout": float | None,
    "max_failures": int | None,
    "avoid_duplicates": bool,
}


@dataclass(frozen=True)
class SearchRequest:
    """A checked search. Values that may be promises are not resolved yet.

    Raises:
        TypeError: a callback, the sampler, the pruner, or one of the study's, cannot be pickled; names it.
        ValueError: together they are larger than ``MAX_PICKLED``.
    """

    origin: Any  # task to map, or callback that calls it
    objective: Any  # task to map
    varied: Mapping[str, Any]  # inputs that hold suggestions; empty with a callback
    fixed: Mapping[str, Any]  # inputs that all trials share
    study: Any  # to continue; None for a new one
    counts: Mapping[str, Any]  # the settings named in `PROMISABLE`
    callbacks: Sequence[Callable[..., None]]
    directions: tuple[str, ...]  # of a new study, one for each value of the objective
    sampler: Any = None  # of a new study
    pruner: Any = None  # of a new study
    reuse_pods: bool = False
    open_ended: bool = False  # the timeout alone ends the search; `n_trials` is more than can run until then
    strategies: str = field(init=False)  # callbacks, sampler and pruner, pickled as text for the driver pods

    def __post_init__(self) -> None:
        # Pickled here, so that a failure is raised before anything runs.
        text = _pickle_strategies(self.callbacks, self.sampler, self.pruner, self.study)
        object.__setattr__(self, "strategies", text)

    @property
    def mapped(self) -> tuple[str, ...]:
        """Names of the objective's inputs that differ from trial to trial; with a callback, all of them."""
        return tuple(self.varied if self.origin is self.objective else self.objective.python_interface.inputs)

    @property
    def shared(self) -> tuple[str, ...]:
        """Names of the objective's inputs that all trials share; with a callback, none."""
        return tuple(self.fixed if self.origin is self.objective else ())

    def space_json(self) -> str:
        """Serialise the search space; empty if a callback makes the inputs."""
        return space_to_json(self.varied, self.objective.python_interface.inputs) if self.varied else ""

    def settings(self, counts: Mapping[str, Any]) -> SearchSettings:
        """Settings of the search, of resolved values for ``PROMISABLE``."""
        return SearchSettings(**counts, space=self.space_json())

    @property
    def start(self) -> str:
        """Whether the study is ``new``, ``continued``, or known only to the backend (``perhaps``).

        Of some promises, only the backend knows whether they are None.
        """
        if self.study is None:
            return "new"
        return "continued" if is_never_none(self.study) else "perhaps"

    @property
    def param_types(self) -> dict[str, str] | None:
        """Name of each parameter's type, by parameter; None with a callback."""
        if not self.varied:
            return None
        return {name: self._type_names(name, suggestion) for name, suggestion in iter_suggestions(self.varied)}

    def _type_names(self, name: str, suggestion: Suggestion) -> str:
        # An input that takes floats gets ints as floats.
        as_float = name in self.varied and strip_annotated(self.objective.python_interface.inputs[name]) is float
        names = type_names(suggestion)
        return "float" if as_float and {*names.split("|")} <= {"int", "float"} else names


def _pickle_strategies(callbacks: Sequence[Callable[..., None]], sampler: Any, pruner: Any, study: Any) -> str:
    sent = {"callbacks": list(callbacks) or None, "sampler": sampler, "pruner": pruner}
    sent = {name: value for name, value in sent.items() if value is not None}
    has_study = study is not None and not isinstance(study, Promise)
    of_study = {"study.sampler": study.sampler, "study.pruner": study.pruner} if has_study else {}
    for name, value in (*sent.items(), *of_study.items()):
        try:
            unpickle(cloudpickle.dumps(value))
        except Exception as error:
            raise TypeError(
                f"`{name}` must be what cloudpickle can carry to the driver pods, but {value_and_type(value)} is not: "
                f"{exception_line(error)}"
            ) from error
    text = base64.b64encode(cloudpickle.dumps(sent)).decode() if sent else ""
    if len(text) > MAX_PICKLED:
        raise ValueError(
            f"`callbacks`, `sampler` and `pruner` must take at most {MAX_PICKLED} bytes, but take {len(text)}. Let a "
            "task return a study with them, and pass it as `study`."
        )
    return text


def unpickle_strategies(text: str) -> dict[str, Any]:
    """Restore the callbacks, the sampler and the pruner that a request pickled, by name."""
    strategies: dict[str, Any] = unpickle(base64.b64decode(text)) if text else {}
    return strategies
