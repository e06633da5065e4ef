"""The JSON of a study, read and checked: every result, and the versions that wrote it."""

from __future__ import annotations

import functools
import importlib.metadata
import json
import math
import platform
import reprlib
import sys
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple, get_args

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from flyteoptuna.storage import file_limits
from flyteoptuna.storage.field_checks import Misfit, attributes, below, refuse
from flyteoptuna.storage.read_trials import read_space, read_trials
from flyteoptuna.storage.write_trials import BETWEEN, BOUND, CHOICE, END, ROW, START, Written, finished

FORMAT = 1
"""The number of the format that this version writes; it reads every format up to it."""

_DIRECTIONS = {d.name: d for d in (StudyDirection.MINIMIZE, StudyDirection.MAXIMIZE)}

_MOST = {
    "trials": file_limits.MAX_TRIALS,
    "distributions": file_limits.MAX_TRIALS,
    "spaces": file_limits.MAX_TRIALS,
    "directions": file_limits.MAX_OBJECTIVES,
}

_METRICS = "study:metric_names"
"""Optuna's own name of the system attribute that `Study.metric_names` gives."""

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


def versions() -> dict[str, str]:
    """Versions of what writes a study."""
    return {"flyteoptuna": _own_version(), "optuna": optuna.__version__, "python": platform.python_version()}


@functools.cache
def _own_version() -> str:
    try:
        return importlib.metadata.version("flyteoptuna")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def decode(text: bytes | bytearray) -> Results:
    """The results that the JSON of a study holds.

    Args:
        text: JSON of any origin that is not :func:`flyteoptuna.storage.file_limits.oversize`.

    Raises:
        StudyFormatError: the text is not the JSON of a study, or one of a newer format; says what was found, and where.
    """
    if not text.isascii() and 4 * len(text) > file_limits.MAX_BYTES:
        # In memory, one character beyond the basic plane makes each of a text take four bytes.
        raise StudyFormatError(f"study.json is too large: {len(text)} bytes that are not all ASCII.")
    try:
        record = json.loads(text.decode(), parse_int=None if _few_digits() else _integer)
    except (ValueError, RecursionError) as error:
        raise StudyFormatError(f"study.json is not JSON that can be read: {reason(error)}") from error
    try:
        return _results(text, record)
    except Misfit as error:
        raise StudyFormatError(
            f"study.json: `{error.where}` must be {error.expected}, but got {reprlib.repr(error.found)}."
        ) from None


def _few_digits() -> bool:
    # Python 3.10 has this limit from 3.10.7 on, and an environment variable changes it.
    return 0 < getattr(sys, "get_int_max_str_digits", int)() <= file_limits.MAX_DIGITS


def _integer(digits: str) -> int:
    if len(digits) > file_limits.MAX_DIGITS:
        raise ValueError(f"an integer of {len(digits)} digits, where {file_limits.MAX_DIGITS} are allowed")
    return int(digits)


def _results(text: bytes | bytearray, record: Any) -> Results:
    _check_header(record)
    directions = [_direction(f"directions[{i}]", d) for i, d in enumerate(record["directions"])]
    if not directions:
        refuse("directions", "a list of at least one direction", directions)
    _check_attributes(record, len(directions))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table = [_distribution(f"distributions[{i}]", d) for i, d in enumerate(record["distributions"])]
    spaces = [read_space(f"spaces[{i}]", space, table) for i, space in enumerate(record["spaces"])]
    trials, used = read_trials(record["trials"], spaces, len(directions))
    if len({trial._trial_id for trial in trials}) < len(trials):
        raise StudyFormatError("study.json: no two trials may have the same id.")
    return Results(
        versions={key: record[key] for key in ("flyteoptuna", "optuna", "python")},
        name=record["name"],
        study_id=below("study_id", record["study_id"], BOUND),
        directions=directions,
        stopped=record["stopped"],
        user_attrs=record["user_attrs"],
        system_attrs=record["system_attrs"],
        declared={
            k: table[below(f"declared[{reprlib.repr(k)}]", i, len(table))] for k, i in record["declared"].items()
        },
        trials=trials,
        written=_written(text, record, trials, used, table, [space.distributions for space in spaces]),
    )


def _written(
    text: bytes | bytearray,
    record: dict[str, Any],
    trials: Sequence[FrozenTrial],
    used: Sequence[int],
    table: Sequence[BaseDistribution],
    spaces: Sequence[dict[str, BaseDistribution]],
) -> Written | None:
    # Each has a line break of its own, and there is no other.
    found = START + ROW in text, text.count(BETWEEN + ROW), text.count(b"\n"), text.endswith(END)
    if found != (True, len(trials) - 1, len(trials) + 1, True):
        return None
    start, end, count = text.index(START) + len(START), len(text) - len(END), finished(trials)
    for _ in trials[count:]:
        end = text.rfind(BETWEEN, start, end)
    n_spaces = 1 + max(used[:count], default=-1)
    n_table = 1 + max((index for space in record["spaces"][:n_spaces] for _, index in space), default=-1)
    return Written(trials[:count], bytes(text[start:end]) if count else b"", table[:n_table], spaces[:n_spaces])


def reason(error: BaseException) -> str:
    """An exception in one short line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _check_header(record: Any) -> None:
    if type(record) is not dict or type(record.get("format")) is not int or record["format"] < 1:
        refuse("format", f"an integer from 1 to {FORMAT}", record.get("format") if type(record) is dict else record)
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
            refuse(key, f"there, and a JSON {kind.__name__}", record.get(key))
    for key, most in _MOST.items():
        if len(record[key]) > most:
            raise StudyFormatError(f"study.json is too large: {len(record[key])} {key}, where {most} are allowed.")


def _check_attributes(record: dict[str, Any], arity: int) -> None:
    attributes("user_attrs", record["user_attrs"])
    own = attributes("system_attrs", record["system_attrs"], system=True)
    names = own.get(_METRICS)
    if names is not None and (type(names) is not list or len(names) != arity or set(map(type, names)) != {str}):
        refuse(f"system_attrs[{_METRICS!r}]", f"a list of {arity} names", names)


def _direction(where: str, found: Any) -> StudyDirection:
    if type(found) is not str or found not in _DIRECTIONS:
        refuse(where, " or ".join(_DIRECTIONS), found)
    return _DIRECTIONS[found]


def _distribution(where: str, found: Any) -> BaseDistribution:
    if type(found) is not dict or type(found.get("name")) is not str or found["name"] not in _ATTRIBUTES:
        refuse(where, f"an object whose `name` is one of {', '.join(_ATTRIBUTES)}", found)
    cls, kinds = _ATTRIBUTES[found["name"]]
    given = found.get("attributes")
    if type(given) is not dict or given.keys() != kinds.keys():
        refuse(f"{where}.attributes", f"an object of {', '.join(kinds)}", given)
    for key, kind in kinds.items():
        # By the exact type: a boolean is an integer to `isinstance`.
        if type(given[key]) not in (get_args(kind) or (kind,)):
            refuse(f"{where}.attributes.{key}", f"of type {getattr(kind, '__name__', kind)}", given[key])
    if cls is CategoricalDistribution:
        choices = given["choices"]
        if not choices or not all(isinstance(choice, CHOICE) for choice in choices):
            refuse(f"{where}.attributes.choices", "a list of null, booleans, numbers and strings", choices)
        return CategoricalDistribution(choices)
    try:
        if any(math.isnan(value) for value in given.values() if value is not None):
            raise ValueError("NaN is no bound and no step.")
        distribution = cls(**given)
    except (ValueError, ArithmeticError) as error:
        raise StudyFormatError(f"study.json: `{where}` is not a distribution: {reason(error)}") from error
    # The constructor lowers `high` anew where rounding keeps `step` from dividing the range.
    vars(distribution).update(given)
    return distribution
