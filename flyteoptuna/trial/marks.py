"""Attributes that a search sets on its study and trials: names, fields, and form in storage."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeVar

from typing_extensions import Self

from flyteoptuna.trial.current_trial import ATTRIBUTE_PREFIX

# System attribute of a trial with its `TrialMark`.
TRIAL_ATTRIBUTE = f"{ATTRIBUTE_PREFIX}trial"
# System attribute of a study with the `SearchMark` of its latest search.
SEARCH_ATTRIBUTE = f"{ATTRIBUTE_PREFIX}search"
# System attribute of a trial with the objective's stored outputs: Flyte literals in base64, by output.
OUTPUTS_ATTRIBUTE = f"{ATTRIBUTE_PREFIX}outputs"
# System attribute of a trial: the inputs that a callback made for it as JSON, by name; empty for one that is too large.
INPUTS_ATTRIBUTE = f"{ATTRIBUTE_PREFIX}inputs"
# System attribute of a study: the search spaces of its searches as JSON, by the number of the search.
SPACES_ATTRIBUTE = f"{ATTRIBUTE_PREFIX}spaces"
# System attribute of a shared study: why a worker ended the search for all workers, and whether the search failed.
ENDED_ATTRIBUTE = f"{ATTRIBUTE_PREFIX}ended"
# System attribute of a trial from a source that is not trusted: its system attributes that hold pickles, by name.
UNTRUSTED_ATTRIBUTE = f"{ATTRIBUTE_PREFIX}untrusted"


class _Trial(Protocol):
    @property
    def system_attrs(self) -> dict[str, Any]: ...


TrialT = TypeVar("TrialT", bound=_Trial)


class _Mark:
    """A system attribute with known fields. Fields that have their default are not stored."""

    ATTRIBUTE: ClassVar[str]
    REQUIRED: ClassVar[frozenset[str]]

    @classmethod
    def from_attributes(cls, attributes: Mapping[str, Any]) -> Self | None:
        """Read the mark from system attributes, without unknown fields; None if there is none."""
        stored = attributes.get(cls.ATTRIBUTE)
        return None if stored is None else cls(**{name: stored[name] for name in _DEFAULTS[cls] if name in stored})

    def to_attribute(self) -> dict[str, Any]:
        """The stored form of the mark."""
        fields = {name: (getattr(self, name), default) for name, default in _DEFAULTS[type(self)].items()}
        return {name: value for name, (value, default) in fields.items() if value != default}


@dataclass(frozen=True, kw_only=True)
class TrialMark(_Mark):
    """Data that a search stores with each of its trials, in the order of the stored form."""

    ATTRIBUTE = TRIAL_ATTRIBUTE
    REQUIRED = frozenset({"search"})

    search: int | None = None  # number of the search among the searches of the study, from 1
    worker: str = ""  # name of the worker that asked the trial; empty in a search of batches
    knew: int | None = None  # number of finished trials that the worker knew when it asked
    generation: int | None = None  # from 0; None in a search of workers
    key: str = ""  # digest of the trial's inputs, by which its report is known
    cached: bool = False  # whether the report may come from Flyte's cache, made by a trial with the same inputs
    timeout: float | None = None  # seconds after which Flyte ends the trial; None for no limit
    attempt: int = 0  # number of earlier attempts of a worker at the trial
    state: str = ""  # state that the trial is told as without being run; empty for a trial that is run
    error: str = ""  # reason of `state`
    beyond: bool = False  # whether a worker created it when all trials were claimed, and does not run it


@dataclass(frozen=True, kw_only=True)
class SearchMark(_Mark):
    """Data that the latest search stores with its study."""

    ATTRIBUTE = SEARCH_ATTRIBUTE
    REQUIRED = frozenset({"count", "start"})

    count: int  # number of the search among the searches of the study, from 1
    n_trials: int | None = None  # trials of the search; None if a file does not tell
    generations: int | None = None  # 0 for a search of workers; None if a file does not tell
    concurrency: int = 0  # trials that can run at once; 0 if it is not known
    workers: int = 0  # trials of a local run that this machine runs at once; 0 on a cluster
    objective: str = ""  # name and inputs of what it searches over; empty if a file does not tell
    start: float  # seconds since the epoch


_MARKS: dict[str, type[_Mark]] = {TRIAL_ATTRIBUTE: TrialMark, SEARCH_ATTRIBUTE: SearchMark}

# Exclusive bound of absolute values; NaN exceeds it too.
_BOUND = 2**63

# Fields in the order of the stored form, with their defaults.
_DEFAULTS: dict[type[_Mark], dict[str, Any]] = {
    mark: {field.name: field.default for field in dataclasses.fields(mark)} for mark in (TrialMark, SearchMark)
}


def _json_types(hint: Any) -> tuple[type, ...]:
    # No field is stored as null, and JSON has one type of numbers.
    kinds = typing.get_args(hint) or (hint,)
    return (int, float) if float in kinds else tuple(kind for kind in kinds if kind is not type(None))


_TYPES = {
    mark: {name: _json_types(hint) for name, hint in typing.get_type_hints(mark).items() if name in fields}
    for mark, fields in _DEFAULTS.items()
}


def search_number(attributes: Mapping[str, Any]) -> int | None:
    """Number of the search that asked a trial, from its system attributes; None if none did. Cheaper than the mark."""
    mark = attributes.get(TRIAL_ATTRIBUTE)
    return None if mark is None else mark.get("search")


def trials_of_search(trials: Iterable[TrialT], search: int) -> list[TrialT]:
    """Return the trials that a search asked."""
    # Without a call for each trial, which takes three times as long.
    no_mark = dict[str, Any]()
    return [trial for trial in trials if trial.system_attrs.get(TRIAL_ATTRIBUTE, no_mark).get("search") == search]


def latest_generation(trials: Iterable[_Trial]) -> int:
    """Latest generation of trials of a search, from 0; -1 without trials, and in a search of workers."""
    # Without a mark for each trial, for speed.
    return max((trial.system_attrs[TRIAL_ATTRIBUTE].get("generation", -1) for trial in trials), default=-1)


def find_wrong_field(name: str, value: Any) -> tuple[str, str, Any] | None:
    """The first field of a wrong type in one of the library's attributes: its path, the rule and its value.

    The path begins with a dot; it is empty for the attribute itself.
    """
    mark = _MARKS.get(name)
    # No search has asked a trial beyond its last one.
    beyond = name == TRIAL_ATTRIBUTE and type(value) is dict and value.get("beyond") is True
    required: frozenset[str] = mark.REQUIRED if mark and not beyond else frozenset()
    if type(value) is not dict or not required <= value.keys():
        return "", f"an object{' of ' * bool(required)}{', '.join(sorted(required))}", value
    # The names of outputs and inputs are those of the user's objective.
    of_texts = name in (OUTPUTS_ATTRIBUTE, INPUTS_ATTRIBUTE, SPACES_ATTRIBUTE)
    types = _TYPES[mark] if mark else dict.fromkeys(value, (str,)) if of_texts else {}
    for field, item in value.items():
        kinds = types.get(field)
        if kinds is not None and type(item) not in kinds:
            return f".{field}", f"of type {' or '.join(sorted(kind.__name__ for kind in kinds))}", item
        if kinds is not None and type(item) in (int, float) and not -_BOUND < item < _BOUND:
            return f".{field}", "a number of 64 bits", item
    return None
