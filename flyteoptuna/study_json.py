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

from flyteoptuna.study_rows import BETWEEN, BOUND, CHOICE, END, NUMBER, ROW, START, Written, finished

FORMAT = 1
"""The number of the format that this version writes; it reads every format up to it."""
MAX_BYTES = 256 << 20
"""Most bytes that a member of a study's file may have once it is inflated."""
MAX_VALUES = 20_000_000
"""Most values that the JSON may hold, which bounds the memory that it takes once it is parsed."""

_DIRECTIONS = {d.name: d for d in (StudyDirection.MINIMIZE, StudyDirection.MAXIMIZE)}
_STATES = {state.name: state for state in TrialState}
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
    """What the JSON of a study holds. New trials must be compatible with the ``declared`` distributions.

    ``written`` is None for a file of another layout than this version writes.
    """

    versions: dict[str, str]
    name: str
    study_id: int
    directions: list[StudyDirection]
    stopped: bool
    user_attrs: dict[str, Any]
    system_attrs: dict[str, Any]
    declared: dict[str, BaseDistribution]
    trials: list[FrozenTrial]
    written: Written | None


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


def oversize(text: bytes) -> str:
    """What makes JSON too large to be read; empty where nothing does."""
    if len(text) > MAX_BYTES:
        return f"{len(text)} bytes of JSON, where {MAX_BYTES} are allowed"
    if len(text) <= MAX_VALUES:
        return ""
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
    try:
        return _results(text, record)
    except _Misfit as error:
        raise StudyFormatError(
            f"study.json: `{error.where}` must be {error.expected}, but got {reprlib.repr(error.found)}."
        ) from None


def _results(text: bytes, record: Any) -> Results:
    _check_header(record)
    directions = [_direction(f"directions[{i}]", d) for i, d in enumerate(record["directions"])]
    if not directions:
        _refuse("directions", "a list of at least one direction", directions)
    table = [_distribution(f"distributions[{i}]", d) for i, d in enumerate(record["distributions"])]
    spaces = [_space(f"spaces[{i}]", space, table) for i, space in enumerate(record["spaces"])]
    trials = _trials(record["trials"], spaces, len(directions))
    if len({trial._trial_id for trial in trials}) < len(trials):
        raise StudyFormatError("study.json: no two trials may have the same id.")
    return Results(
        versions={key: record[key] for key in ("flyteoptuna", "optuna", "python")},
        name=record["name"],
        study_id=_below("study_id", record["study_id"], BOUND),
        directions=directions,
        stopped=record["stopped"],
        user_attrs=record["user_attrs"],
        system_attrs=record["system_attrs"],
        declared={
            k: table[_below(f"declared[{reprlib.repr(k)}]", i, len(table))] for k, i in record["declared"].items()
        },
        trials=trials,
        written=_written(text, record, trials, table, [space.distributions for space in spaces]),
    )


def _written(
    text: bytes,
    record: dict[str, Any],
    trials: Sequence[FrozenTrial],
    table: Sequence[BaseDistribution],
    spaces: Sequence[dict[str, BaseDistribution]],
) -> Written | None:
    found = text.count(START + ROW), text.count(BETWEEN + ROW), text.count(b"\n")
    if found != (1, len(trials) - 1, len(trials) + 1) or not text.endswith(END):
        return None
    start, end, count = text.index(START) + len(START), len(text) - len(END), finished(trials)
    for _ in trials[count:]:
        end = text.rfind(BETWEEN, start, end)
    n_spaces = 1 + max([row.get("space", -1) for row in record["trials"][:count]], default=-1)
    n_table = 1 + max((index for space in record["spaces"][:n_spaces] for _, index in space), default=-1)
    return Written(trials[:count], text[start:end] if count else b"", table[:n_table], spaces[:n_spaces])


def reason(error: BaseException) -> str:
    """An exception in one short line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


class _Misfit(Exception):
    """A field that is not as it must be; its place is told from where it was checked."""

    def __init__(self, where: str, expected: str, found: Any) -> None:
        super().__init__(where, expected, found)
        self.where, self.expected, self.found = where, expected, found


def _refuse(where: str, expected: str, found: Any) -> NoReturn:
    raise _Misfit(where, expected, found)


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
        if not choices or not all(isinstance(choice, CHOICE) for choice in choices):
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
    if type(found) is not list or not set(map(type, found)) <= NUMBER:
        _refuse(where, "a list of numbers", found)
    try:
        has_nan = any(map(math.isnan, found))
    except OverflowError:
        _refuse(where, "a list of numbers within the range of floats", found)
    if has_nan and not nan:
        _refuse(where, "a list without NaN", found)
    return found


def _trials(rows: Sequence[Any], spaces: Sequence[_Space], arity: int) -> list[FrozenTrial]:
    made: list[FrozenTrial] = []
    try:
        for number, row in enumerate(rows):
            made.append(_trial(number, row, spaces, arity))
    except _Misfit as error:
        raise _Misfit(f"trials[{len(made)}]{error.where}", error.expected, error.found) from None
    return made


def _trial(number: int, row: Any, spaces: Sequence[_Space], arity: int) -> FrozenTrial:
    # Places begin at the row, for there are many of these.
    if type(row) is not dict or not row.keys() <= _ROW:
        _refuse("", f"an object of {', '.join(sorted(_ROW))}", row)
    state = _STATES.get(row["state"]) if type(row.get("state")) is str else None
    if state is None:
        _refuse(".state", f"one of {', '.join(_STATES)}", row.get("state"))
    params, distributions = _params(row, spaces)
    return FrozenTrial(
        number=number,
        trial_id=_below(".id", row["id"], BOUND) if "id" in row else number,
        state=state,
        value=None,
        values=_values(row, state, arity),
        datetime_start=_time("start", row),
        datetime_complete=_time("complete", row),
        params=params,
        distributions=distributions,
        intermediate_values=_intermediate(row),
        user_attrs=_attrs("user_attrs", row),
        system_attrs=_attrs("system_attrs", row),
    )


def _values(row: dict[str, Any], state: TrialState, arity: int) -> list[float] | None:
    if "values" not in row:
        if state == TrialState.COMPLETE:
            _refuse(".values", "there, for the trial is COMPLETE", None)
        return None
    values = _numbers(".values", row["values"], nan=state != TrialState.COMPLETE)
    if len(values) != arity:
        _refuse(".values", f"{arity} numbers", values)
    return values


def _params(row: dict[str, Any], spaces: Sequence[_Space]) -> tuple[dict[str, Any], dict[str, Any]]:
    if "space" not in row and "params" not in row:
        return {}, {}
    space = spaces[_below(".space", row.get("space"), len(spaces))]
    params: list[Any] = _numbers(".params", row.get("params"), nan=False)
    if len(params) != len(space.names):
        _refuse(".params", f"{len(space.names)} numbers, as its space has names", params)
    for position, choices in space.categories:
        params[position] = choices[_below(f".params[{position}]", params[position], len(choices))]
    return dict(zip(space.names, params, strict=True)), space.distributions.copy()


def _time(key: str, row: dict[str, Any]) -> datetime | None:
    if key not in row:
        return None
    try:
        return datetime.fromisoformat(row[key])
    except (TypeError, ValueError):
        _refuse(f".{key}", "a time in ISO 8601", row[key])


def _attrs(key: str, row: dict[str, Any]) -> dict[str, Any]:
    found = row.get(key, {})
    return found if type(found) is dict else _refuse(f".{key}", "an object", found)


def _intermediate(row: dict[str, Any]) -> dict[int, float]:
    if "intermediate" not in row:
        return {}
    where, found = ".intermediate", row["intermediate"]
    if type(found) is not list or len(found) != 2 or type(found[0]) is not list:
        _refuse(where, "a list of steps and a list of values", found)
    steps, values = found[0], _numbers(f"{where}[1]", found[1])
    # Without a bound, steps could be chosen to have the same hash, and would take quadratic time.
    if not all(type(step) is int and -BOUND < step < BOUND for step in steps):
        _refuse(f"{where}[0]", "a list of integers of 64 bits", steps)
    if len(steps) != len(values) or len(set(steps)) != len(steps):
        _refuse(where, "as many different steps as values", found)
    return dict(zip(steps, values, strict=True))
