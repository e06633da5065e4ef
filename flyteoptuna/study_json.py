"""The JSON of a study: every result as plain data, checked field by field on the way back."""

from __future__ import annotations

import functools
import importlib.metadata
import json
import math
import platform
import reprlib
import warnings
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple, NoReturn, get_args

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

FORMAT = 1
"""The number of the format that this version writes; it reads every format up to it."""
MAX_BYTES = 256 << 20
"""Most bytes that a member of a study's file may have once it is inflated."""
MAX_VALUES = 20_000_000
"""Most values that the JSON may hold, which bounds the memory that it takes once it is parsed."""

_DIRECTIONS = {d.name: d for d in (StudyDirection.MINIMIZE, StudyDirection.MAXIMIZE)}
_STATES = {state.name: state for state in TrialState}
_NUMBER = {int, float}
_CHOICE = (type(None), bool, int, float, str)
_MAX_ID = 2**63
_FIELDS: dict[str, type] = {
    "format": int,
    "flyteoptuna": str,
    "optuna": str,
    "python": str,
    "name": str,
    "study_id": int,
    "directions": list,
    "stopped": bool,
    "user_attrs": dict,
    "system_attrs": dict,
    "distributions": list,
    "spaces": list,
    "declared": dict,
    "trials": list,
}
_ROW = {"state", "values", "space", "params", "start", "complete", "intermediate", "user_attrs", "system_attrs", "id"}
_ATTRIBUTES: dict[str, tuple[type[BaseDistribution], dict[str, Any]]] = {
    "FloatDistribution": (FloatDistribution, {"low": float, "high": float, "log": bool, "step": float | None}),
    "IntDistribution": (IntDistribution, {"low": int, "high": int, "log": bool, "step": int}),
    "CategoricalDistribution": (CategoricalDistribution, {"choices": list}),
}


class StudyFormatError(ValueError):
    """A file that is not a study, or not one that this version can read; says what was found, and where."""


class Results(NamedTuple):
    """What the JSON of a study holds. New trials must be compatible with the ``declared`` distributions."""

    versions: dict[str, str]
    name: str
    study_id: int
    directions: list[StudyDirection]
    stopped: bool
    user_attrs: dict[str, Any]
    system_attrs: dict[str, Any]
    declared: dict[str, BaseDistribution]
    trials: list[FrozenTrial]


class _Space(NamedTuple):
    names: tuple[str, ...]
    distributions: dict[str, BaseDistribution]
    categories: tuple[tuple[int, tuple[Any, ...]], ...]


def versions() -> dict[str, str]:
    """Versions of what writes a study."""
    return {"flyteoptuna": _own_version(), "optuna": optuna.__version__, "python": platform.python_version()}


@functools.cache
def _own_version() -> str:
    try:
        return importlib.metadata.version("flyteoptuna")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


class Tables:
    """Distributions, and spaces made of them, each written once."""

    def __init__(self) -> None:
        self.distributions: list[dict[str, Any]] = []
        self.spaces: list[tuple[tuple[str, int], ...]] = []
        self._by_id: dict[int, int] = {}
        self._by_value: dict[Any, int] = {}
        self._by_ids: dict[tuple[Any, ...], tuple[int, tuple[tuple[int, str], ...]]] = {}
        self._known: dict[tuple[tuple[str, int], ...], tuple[int, tuple[tuple[int, str], ...]]] = {}

    def distribution(self, name: str, distribution: BaseDistribution) -> int:
        index = self._by_id.get(id(distribution))
        if index is None:
            key: Any = (type(distribution), *vars(distribution).values())
            if isinstance(distribution, CategoricalDistribution):
                # Choices that are equal, as 1, True and 1.0 are, have different representations.
                key = repr(distribution.choices)
            index = self._by_value.get(key)
            if index is None:
                self.distributions.append(_plain(name, distribution))
                index = self._by_value[key] = len(self.distributions) - 1
            self._by_id[id(distribution)] = index
        return index

    def space(self, distributions: dict[str, BaseDistribution]) -> tuple[int, tuple[tuple[int, str], ...]]:
        # Trials that were asked of one study share their distributions.
        ids = (*distributions, *map(id, distributions.values()))
        if ids in self._by_ids:
            return self._by_ids[ids]
        key = tuple([(name, self.distribution(name, d)) for name, d in distributions.items()])
        if key not in self._known:
            numbered = enumerate(distributions.items())
            categories = tuple((i, name) for i, (name, d) in numbered if isinstance(d, CategoricalDistribution))
            self._known[key] = len(self.spaces), categories
            self.spaces.append(key)
        self._by_ids[ids] = self._known[key]
        return self._known[key]

    def row(self, trial: FrozenTrial) -> dict[str, Any]:
        row: dict[str, Any] = {"state": trial.state.name}
        if trial.values is not None:
            row["values"] = _floats(trial.values)
        if trial.distributions:
            params, (row["space"], categories) = trial.params, self.space(trial.distributions)
            values = [params[name] for name in trial.distributions]
            for position, name in categories:
                values[position] = _index(trial.distributions[name], params[name])
            row["params"] = _floats(values)
        if trial.datetime_start is not None:
            row["start"] = trial.datetime_start.isoformat()
        if trial.datetime_complete is not None:
            row["complete"] = trial.datetime_complete.isoformat()
        if trial.intermediate_values:
            steps, reported = trial.intermediate_values.keys(), trial.intermediate_values.values()
            row["intermediate"] = [[int(step) for step in steps], _floats(list(reported))]
        if trial.user_attrs:
            row["user_attrs"] = trial.user_attrs
        if trial.system_attrs:
            row["system_attrs"] = trial.system_attrs
        if trial._trial_id != trial.number:
            row["id"] = trial._trial_id
        return row


def _plain(name: str, distribution: BaseDistribution) -> dict[str, Any]:
    # The form that optuna itself gives a distribution in JSON.
    attributes: dict[str, Any]
    if isinstance(distribution, CategoricalDistribution):
        kind, attributes = "CategoricalDistribution", {"choices": distribution.choices}
        for choice in distribution.choices:
            if not isinstance(choice, _CHOICE):
                raise TypeError(
                    f"Each choice of parameter `{name}` must be None, bool, int, float or str to be saved, but got "
                    f"{reprlib.repr(choice)}, a {type(choice).__name__}."
                )
    else:
        kind = "IntDistribution" if isinstance(distribution, IntDistribution) else "FloatDistribution"
        low, high, log, step = (getattr(distribution, key) for key in ("low", "high", "log", "step"))
        attributes = {"low": low, "high": high, "log": bool(log), "step": step}
    return {"name": kind, "attributes": attributes}


def _floats(values: list[Any]) -> list[Any]:
    # Values that were added, not told, may be numpy's.
    return values if set(map(type, values)) <= _NUMBER else [v if type(v) in _NUMBER else float(v) for v in values]


def _index(distribution: BaseDistribution, value: Any) -> int:
    assert isinstance(distribution, CategoricalDistribution)
    for index, choice in enumerate(distribution.choices):
        if choice is value:
            return index
    for index, choice in enumerate(distribution.choices):
        if type(choice) is type(value) and repr(choice) == repr(value):
            return index
    return int(distribution.to_internal_repr(value))


def oversize(text: bytes) -> str:
    """What makes JSON too large to be read; empty where nothing does."""
    if len(text) > MAX_BYTES:
        return f"{len(text)} bytes of JSON, where {MAX_BYTES} are allowed"
    count = text.count(b",") + text.count(b"[") + text.count(b"{")
    return f"about {count} values of JSON, where {MAX_VALUES} are allowed" if count > MAX_VALUES else ""


def decode(text: bytes) -> Results:
    """The results that the JSON of a study holds.

    Args:
        text: JSON of any origin.

    Raises:
        StudyFormatError: the text is not the JSON of a study, or one of a newer format; says what was found, and where.
    """
    if excess := oversize(text):
        raise StudyFormatError(f"study.json is too large: {excess}.")
    try:
        record = json.loads(text.decode())
    except (ValueError, RecursionError) as error:
        raise StudyFormatError(f"study.json is not JSON that can be read: {reason(error)}") from error
    _check_header(record)
    directions = [_direction(f"directions[{i}]", d) for i, d in enumerate(record["directions"])]
    if not directions:
        _refuse("directions", "a list of at least one direction", directions)
    table = [_distribution(f"distributions[{i}]", d) for i, d in enumerate(record["distributions"])]
    spaces = [_space(f"spaces[{i}]", space, table) for i, space in enumerate(record["spaces"])]
    trials = [_trial(number, row, spaces, len(directions)) for number, row in enumerate(record["trials"])]
    if len({trial._trial_id for trial in trials}) < len(trials):
        raise StudyFormatError("study.json: no two trials may have the same id.")
    return Results(
        versions={key: record[key] for key in ("flyteoptuna", "optuna", "python")},
        name=record["name"],
        study_id=_below("study_id", record["study_id"], _MAX_ID),
        directions=directions,
        stopped=record["stopped"],
        user_attrs=record["user_attrs"],
        system_attrs=record["system_attrs"],
        declared={
            k: table[_below(f"declared[{reprlib.repr(k)}]", i, len(table))] for k, i in record["declared"].items()
        },
        trials=trials,
    )


def reason(error: BaseException) -> str:
    """An exception in one short line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _refuse(where: str, expected: str, found: Any) -> NoReturn:
    raise StudyFormatError(f"study.json: `{where}` must be {expected}, but got {reprlib.repr(found)}.")


def _below(where: str, value: Any, end: int) -> int:
    if type(value) is not int or not 0 <= value < end:
        _refuse(where, f"an integer from 0 to {end - 1}", value)
    return value


def _check_header(record: Any) -> None:
    if type(record) is not dict or type(record.get("format")) is not int or record["format"] < 1:
        _refuse("format", f"an integer from 1 to {FORMAT}", record.get("format") if type(record) is dict else record)
    if record["format"] > FORMAT:
        writer = reprlib.repr(record.get("flyteoptuna", "?")).strip("'")
        raise StudyFormatError(
            f"The study was written by flyteoptuna {writer}, in format {reprlib.repr(record['format'])}; this version, "
            f"{_own_version()}, reads formats up to {FORMAT}: upgrade flyteoptuna."
        )
    if unknown := record.keys() - _FIELDS.keys():
        raise StudyFormatError(f"study.json has unknown fields: {reprlib.repr(sorted(unknown))}.")
    for key, kind in _FIELDS.items():
        if type(record.get(key)) is not kind:
            _refuse(key, f"there, and a JSON {kind.__name__}", record.get(key))


def _direction(where: str, found: Any) -> StudyDirection:
    if type(found) is not str or found not in _DIRECTIONS:
        _refuse(where, " or ".join(_DIRECTIONS), found)
    return _DIRECTIONS[found]


def _distribution(where: str, found: Any) -> BaseDistribution:
    if type(found) is not dict or type(found.get("name")) is not str or found["name"] not in _ATTRIBUTES:
        _refuse(where, f"an object whose `name` is one of {', '.join(_ATTRIBUTES)}", found)
    cls, kinds = _ATTRIBUTES[found["name"]]
    attributes = found.get("attributes")
    if type(attributes) is not dict or attributes.keys() != kinds.keys():
        _refuse(f"{where}.attributes", f"an object of {', '.join(kinds)}", attributes)
    for key, kind in kinds.items():
        # By the exact type: a boolean is an integer to `isinstance`.
        if type(attributes[key]) not in (get_args(kind) or (kind,)):
            _refuse(f"{where}.attributes.{key}", f"of type {getattr(kind, '__name__', kind)}", attributes[key])
    if cls is CategoricalDistribution:
        choices = attributes["choices"]
        if not choices or not all(isinstance(choice, _CHOICE) for choice in choices):
            _refuse(f"{where}.attributes.choices", "a list of null, booleans, numbers and strings", choices)
        return CategoricalDistribution(choices)
    try:
        if any(math.isnan(value) for value in attributes.values() if value is not None):
            raise ValueError("NaN is no bound and no step.")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            distribution = cls(**attributes)
    except (ValueError, ArithmeticError) as error:
        raise StudyFormatError(f"study.json: `{where}` is not a distribution: {reason(error)}") from error
    # The constructor lowers `high` anew where rounding keeps `step` from dividing the range.
    vars(distribution).update(attributes)
    return distribution


def _space(where: str, found: Any, table: Sequence[BaseDistribution]) -> _Space:
    pairs = found if type(found) is list else _refuse(where, "a list", found)
    distributions: dict[str, BaseDistribution] = {}
    for i, pair in enumerate(pairs):
        if type(pair) is not list or len(pair) != 2 or type(pair[0]) is not str or pair[0] in distributions:
            _refuse(f"{where}[{i}]", "a new name and the index of a distribution", pair)
        distributions[pair[0]] = table[_below(f"{where}[{i}][1]", pair[1], len(table))]
    numbered = enumerate(distributions.values())
    categories = [(i, d.choices) for i, d in numbered if isinstance(d, CategoricalDistribution)]
    return _Space(tuple(distributions), distributions, tuple(categories))


def _numbers(where: str, found: Any, *, nan: bool = True) -> list[float]:
    if type(found) is not list or not set(map(type, found)) <= _NUMBER:
        _refuse(where, "a list of numbers", found)
    try:
        has_nan = any(map(math.isnan, found))
    except OverflowError:
        _refuse(where, "a list of numbers within the range of floats", found)
    if has_nan and not nan:
        _refuse(where, "a list without NaN", found)
    return found


def _trial(number: int, row: Any, spaces: Sequence[_Space], arity: int) -> FrozenTrial:
    where = f"trials[{number}]"
    if type(row) is not dict or not row.keys() <= _ROW:
        _refuse(where, f"an object of {', '.join(sorted(_ROW))}", row)
    state = _STATES.get(row["state"]) if type(row.get("state")) is str else None
    if state is None:
        _refuse(f"{where}.state", f"one of {', '.join(_STATES)}", row.get("state"))
    params, distributions = _params(where, row, spaces)
    return FrozenTrial(
        number=number,
        trial_id=_below(f"{where}.id", row["id"], _MAX_ID) if "id" in row else number,
        state=state,
        value=None,
        values=_values(where, row, state, arity),
        datetime_start=_time(where, "start", row),
        datetime_complete=_time(where, "complete", row),
        params=params,
        distributions=distributions,
        intermediate_values=_intermediate(where, row),
        user_attrs=_attrs(where, "user_attrs", row),
        system_attrs=_attrs(where, "system_attrs", row),
    )


def _values(where: str, row: dict[str, Any], state: TrialState, arity: int) -> list[float] | None:
    if "values" not in row:
        if state == TrialState.COMPLETE:
            _refuse(f"{where}.values", "there, for the trial is COMPLETE", None)
        return None
    values = _numbers(f"{where}.values", row["values"], nan=state != TrialState.COMPLETE)
    if len(values) != arity or state == TrialState.FAIL:
        _refuse(f"{where}.values", f"{arity} numbers, or absent from a trial that failed", values)
    return values


def _params(where: str, row: dict[str, Any], spaces: Sequence[_Space]) -> tuple[dict[str, Any], dict[str, Any]]:
    if "space" not in row and "params" not in row:
        return {}, {}
    space = spaces[_below(f"{where}.space", row.get("space"), len(spaces))]
    params: list[Any] = _numbers(f"{where}.params", row.get("params"), nan=False)
    if len(params) != len(space.names):
        _refuse(f"{where}.params", f"{len(space.names)} numbers, as its space has names", params)
    for position, choices in space.categories:
        params[position] = choices[_below(f"{where}.params[{position}]", params[position], len(choices))]
    return dict(zip(space.names, params, strict=True)), space.distributions.copy()


def _time(where: str, key: str, row: dict[str, Any]) -> datetime | None:
    if key not in row:
        return None
    try:
        return datetime.fromisoformat(row[key])
    except (TypeError, ValueError):
        _refuse(f"{where}.{key}", "a time in ISO 8601", row[key])


def _attrs(where: str, key: str, row: dict[str, Any]) -> dict[str, Any]:
    found = row.get(key, {})
    return found if type(found) is dict else _refuse(f"{where}.{key}", "an object", found)


def _intermediate(where: str, row: dict[str, Any]) -> dict[int, float]:
    if "intermediate" not in row:
        return {}
    where, found = f"{where}.intermediate", row["intermediate"]
    if type(found) is not list or len(found) != 2 or type(found[0]) is not list:
        _refuse(where, "a list of steps and a list of values", found)
    steps, values = found[0], _numbers(f"{where}[1]", found[1])
    # Without a bound, steps could be chosen to have the same hash, and would take quadratic time.
    if not all(type(step) is int and -_MAX_ID < step < _MAX_ID for step in steps):
        _refuse(f"{where}[0]", "a list of integers of 64 bits", steps)
    if len(steps) != len(values) or len(set(steps)) != len(steps):
        _refuse(where, "as many different steps as values", found)
    return dict(zip(steps, values, strict=True))
