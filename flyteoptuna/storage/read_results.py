"""Parse and check the JSON of a study: its results, and the versions that wrote it."""

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
from typing import Any, get_args

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from flyteoptuna.errors import StudyFormatError
from flyteoptuna.internals.optuna_internals import in_memory_storage, replace_study_attributes, trial_id
from flyteoptuna.storage import file_limits
from flyteoptuna.storage.read_trials import check_attributes, check_index, read_floats, read_space, read_trials
from flyteoptuna.storage.search_study import SearchStudy
from flyteoptuna.storage.write_trials import (
    BETWEEN,
    BOUND,
    CHOICE_TYPES,
    END,
    ROW,
    START,
    WrittenRows,
    count_finished_prefix,
)
from flyteoptuna.values.field_error import FieldError, check_field
from flyteoptuna.values.json_values import escape_surrogates
from flyteoptuna.values.text import exception_line

# Number of the format that this version writes; it reads this format and all before.
FORMAT_VERSION = 1

_DIRECTIONS = {d.name: d for d in (StudyDirection.MINIMIZE, StudyDirection.MAXIMIZE)}

_MAX_LENGTHS = {
    "trials": file_limits.MAX_TRIALS,
    "distributions": file_limits.MAX_TRIALS,
    "spaces": file_limits.MAX_TRIALS,
    "directions": file_limits.MAX_OBJECTIVES,
}

# Optuna's system attribute for `Study.metric_names`.
_METRIC_NAMES = "study:metric_names"

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

_DISTRIBUTION_FIELDS: dict[str, tuple[type[BaseDistribution], dict[str, Any]]] = {
    "FloatDistribution": (FloatDistribution, {"low": float, "high": float, "log": bool, "step": float | None}),
    "IntDistribution": (IntDistribution, {"low": int, "high": int, "log": bool, "step": int}),
    "CategoricalDistribution": (CategoricalDistribution, {"choices": list}),
}


def writer_versions() -> dict[str, str]:
    """Present versions of flyteoptuna, optuna and Python."""
    return {"flyteoptuna": _own_version(), "optuna": optuna.__version__, "python": platform.python_version()}


@functools.cache
def _own_version() -> str:
    try:
        return importlib.metadata.version("flyteoptuna")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def parse_results(text: bytes | bytearray) -> tuple[SearchStudy, dict[str, str]]:
    """Parse JSON of any origin, within the limits of ``file_limits``.

    Returns:
        The study, with a new sampler and pruner, and the versions that wrote it.

    Raises:
        StudyFormatError: the text is not the JSON of a study, or has a newer format; names the place and the value.
    """
    if not text.isascii() and 4 * len(text) > file_limits.MAX_BYTES:
        # One character beyond the basic multilingual plane makes Python store each character in four bytes.
        raise StudyFormatError(f"study.json is too large: {len(text)} bytes that are not all ASCII.")
    try:
        decoded = text.decode()
        if (escaped := escape_surrogates(decoded)) is not decoded:
            decoded, text = escaped, escaped.encode()
        record = json.loads(decoded, parse_int=None if _python_limits_digits() else _parse_integer)
    except (ValueError, RecursionError) as error:
        raise StudyFormatError(
            f"study.json is not JSON that can be read: {exception_line(error, file_limits.MAX_REASON)}"
        ) from error
    try:
        return _parse_record(text, record)
    except FieldError as error:
        raise StudyFormatError(
            f"study.json: `{error.where}` must be {error.expected}, but got {reprlib.repr(error.found)}."
        ) from None


def _python_limits_digits() -> bool:
    # Python 3.10 has the limit from 3.10.7 on, and an environment variable changes it.
    return 0 < getattr(sys, "get_int_max_str_digits", int)() <= file_limits.MAX_DIGITS


def _parse_integer(digits: str) -> int:
    if len(digits) > file_limits.MAX_DIGITS:
        raise ValueError(f"an integer of {len(digits)} digits, where {file_limits.MAX_DIGITS} are allowed")
    return int(digits)


def _parse_record(text: bytes | bytearray, record: Any) -> tuple[SearchStudy, dict[str, str]]:
    _check_header(record)
    directions = [_parse_direction(f"directions[{i}]", d) for i, d in enumerate(record["directions"])]
    check_field(bool(directions), "directions", "a list of at least one direction", directions)
    _check_attributes(record, len(directions))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table = [parse_distribution(f"distributions[{i}]", d) for i, d in enumerate(record["distributions"])]
    spaces = [read_space(f"spaces[{i}]", space, table) for i, space in enumerate(record["spaces"])]
    trials, used = read_trials(record["trials"], spaces, len(directions))
    if len({trial_id(trial) for trial in trials}) < len(trials):
        raise StudyFormatError("study.json: no two trials may have the same id.")
    study_id = check_index("study_id", record["study_id"], BOUND)
    declared = {
        k: table[check_index(f"declared[{reprlib.repr(k)}]", i, len(table))] for k, i in record["declared"].items()
    }
    storage = in_memory_storage(record["name"], directions, study_id, trials, declared)
    study = SearchStudy(record["name"], storage, optuna.samplers.TPESampler(), optuna.pruners.NopPruner())
    replace_study_attributes(study, record["user_attrs"], record["system_attrs"])
    study.stopped = record["stopped"]
    study.written = _written_rows(text, record, trials, used, table, [space.distributions for space in spaces])
    return study, {key: record[key] for key in ("flyteoptuna", "optuna", "python")}


def _written_rows(
    text: bytes | bytearray,
    record: dict[str, Any],
    trials: Sequence[FrozenTrial],
    used: Sequence[int],
    table: Sequence[BaseDistribution],
    spaces: Sequence[dict[str, BaseDistribution]],
) -> WrittenRows | None:
    # Rows are reused only if each has one line, and there are no other line breaks.
    layout = START + ROW in text, text.count(BETWEEN + ROW), text.count(b"\n"), text.endswith(END)
    if layout != (True, len(trials) - 1, len(trials) + 1, True):
        return None
    start, end, count = text.index(START) + len(START), len(text) - len(END), count_finished_prefix(trials)
    for _ in trials[count:]:
        end = text.rfind(BETWEEN, start, end)
    n_spaces = 1 + max(used[:count], default=-1)
    n_table = 1 + max((index for space in record["spaces"][:n_spaces] for _, index in space), default=-1)
    return WrittenRows(trials[:count], bytes(text[start:end]) if count else b"", table[:n_table], spaces[:n_spaces])


def _check_header(record: Any) -> None:
    if type(record) is not dict or type(record.get("format")) is not int or record["format"] < 1:
        raise FieldError(
            "format", f"an integer from 1 to {FORMAT_VERSION}", record.get("format") if type(record) is dict else record
        )
    if record["format"] > FORMAT_VERSION:
        writer = reprlib.repr(record.get("flyteoptuna", "?")).strip("'")
        raise StudyFormatError(
            f"The study was written by flyteoptuna {writer}, in format {reprlib.repr(record['format'])}; this version, "
            f"{_own_version()}, reads formats up to {FORMAT_VERSION}: upgrade flyteoptuna."
        )
    if unknown := record.keys() - _FIELDS.keys():
        raise StudyFormatError(f"study.json has unknown fields: {reprlib.repr(sorted(unknown))}.")
    for key, kind in _FIELDS.items():
        check_field(type(record.get(key)) is kind, key, f"there, and a JSON {kind.__name__}", record.get(key))
    for key, most in _MAX_LENGTHS.items():
        if len(record[key]) > most:
            raise StudyFormatError(f"study.json is too large: {len(record[key])} {key}, where {most} are allowed.")


def _check_attributes(record: dict[str, Any], arity: int) -> None:
    check_attributes("user_attrs", record["user_attrs"])
    own = check_attributes("system_attrs", record["system_attrs"], system=True)
    check_metric_names("system_attrs", own, arity)


def check_metric_names(where: str, system_attrs: dict[str, Any], arity: int) -> None:
    """Raise a ``FieldError`` unless the names of a study's values, if any, are as many as its directions."""
    names = system_attrs.get(_METRIC_NAMES)
    if names is not None and (type(names) is not list or len(names) != arity or set(map(type, names)) != {str}):
        raise FieldError(f"{where}[{_METRIC_NAMES!r}]", f"a list of {arity} names", names)


def _parse_direction(where: str, value: Any) -> StudyDirection:
    check_field(type(value) is str and value in _DIRECTIONS, where, " or ".join(_DIRECTIONS), value)
    return _DIRECTIONS[value]


def parse_distribution(where: str, value: Any) -> BaseDistribution:
    """Parse a distribution from its JSON, as Optuna's ``distribution_to_json`` writes it.

    Raises:
        FieldError: a field is wrong.
        StudyFormatError: the fields contradict each other.
    """
    if type(value) is not dict or type(value.get("name")) is not str or value["name"] not in _DISTRIBUTION_FIELDS:
        raise FieldError(where, f"an object whose `name` is one of {', '.join(_DISTRIBUTION_FIELDS)}", value)
    cls, kinds = _DISTRIBUTION_FIELDS[value["name"]]
    fields = value.get("attributes")
    if type(fields) is not dict or fields.keys() != kinds.keys():
        raise FieldError(f"{where}.attributes", f"an object of {', '.join(kinds)}", fields)
    for key, kind in kinds.items():
        if kind in (float, float | None) and type(fields[key]) is int:
            [fields[key]] = read_floats(f"{where}.attributes.{key}", [fields[key]])
        # The exact type, because a boolean is an integer to `isinstance`.
        if type(fields[key]) not in (get_args(kind) or (kind,)):
            raise FieldError(f"{where}.attributes.{key}", f"of type {getattr(kind, '__name__', kind)}", fields[key])
    if cls is CategoricalDistribution:
        choices = fields["choices"]
        if not choices or not all(isinstance(choice, CHOICE_TYPES) for choice in choices):
            raise FieldError(f"{where}.attributes.choices", "a list of null, booleans, numbers and strings", choices)
        # Optuna compares them as floats.
        read_floats(f"{where}.attributes.choices", [choice for choice in choices if type(choice) is int])
        return CategoricalDistribution(choices)
    try:
        if any(math.isnan(value) for value in fields.values() if value is not None):
            raise ValueError("NaN is no bound and no step.")
        distribution = cls(**fields)
    except (ValueError, ArithmeticError) as error:
        raise StudyFormatError(
            f"study.json: `{where}` is not a distribution: {exception_line(error, file_limits.MAX_REASON)}"
        ) from error
    # The constructor lowers `high` again if rounding keeps `step` from dividing the range.
    vars(distribution).update(fields)
    return distribution
