"""Read the trials of a study's JSON, and check each field."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState

from flyteoptuna.storage import file_limits
from flyteoptuna.storage.param_ranges import ParamRanges
from flyteoptuna.storage.write_trials import BOUND, NUMBER_TYPES, to_local_time, told_values
from flyteoptuna.trial.current_trial import ATTRIBUTE_PREFIX
from flyteoptuna.trial.marks import find_wrong_field
from flyteoptuna.values.field_error import FieldError, check_field

_ROW = {
    *("state", "values", "space", "params", "outside", "start", "complete"),
    *("intermediate", "user_attrs", "system_attrs", "id"),
}


class ParamSpace(NamedTuple):
    """A space: names, distributions and ranges of parameters, choices of the categorical and types of the others."""

    names: tuple[str, ...]
    distributions: dict[str, BaseDistribution]
    ranges: ParamRanges
    categories: tuple[tuple[int, tuple[Any, ...]], ...]
    kinds: tuple[tuple[int, type], ...]


def check_index(where: str, value: Any, end: int) -> int:
    """The value, if it is an integer from 0 to ``end`` - 1."""
    if type(value) is not int or not 0 <= value < end:
        raise FieldError(where, f"an integer from 0 to {end - 1}", value)
    return value


def read_floats(where: str, value: Any, expected: str = "a list of numbers") -> list[float]:
    """Read a list of floats, some of which JSON may have as integers."""
    if type(value) is not list or not set(map(type, value)) <= NUMBER_TYPES:
        raise FieldError(where, expected, value)
    try:
        # Integers of any size would become objects in arrays and tables.
        return list(map(float, value))
    except OverflowError:
        raise FieldError(where, f"{expected} within the range of floats", value) from None


def check_attributes(where: str, value: Any, *, system: bool = False) -> dict[str, Any]:
    """The attributes at ``where``, if optuna and their readers can process them; some ``system`` ones have types."""
    if type(value) is not dict:
        raise FieldError(where, "an object", value)
    if file_limits.is_nested_too_deeply(value):
        raise FieldError(where, f"at most {file_limits.MAX_DEPTH} lists and objects inside each other", "deeper ones")
    for key, item in value.items() if system else ():
        if key.startswith(ATTRIBUTE_PREFIX):
            if wrong := find_wrong_field(key, item):
                path, expected, found = wrong
                raise FieldError(f"{where}[{key!r}]{path}", expected, found)
        elif key == "constraints" and item is not None:
            value[key] = _read_constraints(f"{where}.{key}", item)
        elif key == "fixed_params":
            check_field(type(item) is dict, f"{where}.{key}", "an object", item)
        elif key.startswith("constraints:"):
            [value[key]] = _read_constraints(f"{where}[{key!r}]", [item])
    return value


def _read_constraints(where: str, value: Any) -> list[float]:
    plain = [int(v) if type(v) is bool else v for v in value] if type(value) is list else value
    return read_floats(where, plain, "numbers")


def read_space(where: str, value: Any, table: Sequence[BaseDistribution]) -> ParamSpace:
    """Read a space, whose distributions are indices into a table."""
    check_field(type(value) is list, where, "a list", value)
    distributions: dict[str, BaseDistribution] = {}
    for i, pair in enumerate(value):
        if type(pair) is not list or len(pair) != 2 or type(pair[0]) is not str or pair[0] in distributions:
            raise FieldError(f"{where}[{i}]", "a new name and the index of a distribution", pair)
        distributions[pair[0]] = table[check_index(f"{where}[{i}][1]", pair[1], len(table))]
    numbered = [*enumerate(distributions.values())]
    categories = tuple([(i, d.choices) for i, d in numbered if isinstance(d, CategoricalDistribution)])
    kinds = [(i, float if isinstance(d, FloatDistribution) else int) for i, d in numbered]
    others = tuple([(i, kind) for i, kind in kinds if not isinstance(numbered[i][1], CategoricalDistribution)])
    return ParamSpace(tuple(distributions), distributions, ParamRanges(distributions.values()), categories, others)


def read_trials(rows: list[Any], spaces: Sequence[ParamSpace], arity: int) -> tuple[list[FrozenTrial], list[int]]:
    """Read all trials of a study with ``arity`` directions, and empty ``rows`` meanwhile to save memory.

    Returns:
        The trials, and the index of each trial's space, -1 for none.

    Raises:
        FieldError: a field is wrong; names the trial and the field.
    """
    trials, used = list[FrozenTrial](), list[int]()
    try:
        for number in range(len(rows)):
            row, rows[number] = rows[number], None
            trials.append(_read_trial(number, row, spaces, arity))
            used.append(row.get("space", -1))
    except FieldError as error:
        raise FieldError(f"trials[{len(trials)}]{error.where}", error.expected, error.found) from None
    return trials, used


def _read_trial(number: int, row: Any, spaces: Sequence[ParamSpace], arity: int) -> FrozenTrial:
    # Places are relative to the row, because formatting its number for each trial takes time.
    if type(row) is not dict or not row.keys() <= _ROW:
        raise FieldError("", f"an object of {', '.join(sorted(_ROW))}", row)
    name = row.get("state")
    if type(name) is not str or name not in TrialState.__members__:
        raise FieldError(".state", f"one of {', '.join(TrialState.__members__)}", name)
    state = TrialState[name]
    params, distributions = _read_params(row, spaces)
    return FrozenTrial(
        number=number,
        trial_id=check_index(".id", row["id"], BOUND) if "id" in row else number,
        state=state,
        value=None,
        values=_values(row, state, arity),
        datetime_start=_time("start", row, state != TrialState.WAITING, optional=state == TrialState.WAITING),
        datetime_complete=_time("complete", row, state.is_finished()),
        params=params,
        distributions=distributions,
        intermediate_values=_intermediate(row),
        user_attrs=check_attributes(".user_attrs", row.get("user_attrs", {})),
        system_attrs=check_attributes(".system_attrs", row.get("system_attrs", {}), system=True),
    )


def _values(row: dict[str, Any], state: TrialState, arity: int) -> list[float] | None:
    if "values" not in row:
        if state == TrialState.COMPLETE:
            raise FieldError(".values", "there, for the trial is COMPLETE", None)
        return None
    values = read_floats(".values", row["values"])
    if len(values) != arity:
        raise FieldError(".values", f"{arity} numbers", values)
    told = told_values(state, values)
    if told is None and state == TrialState.COMPLETE:
        raise FieldError(".values", "a list without NaN, for the trial is COMPLETE", values)
    return told


def _read_params(row: dict[str, Any], spaces: Sequence[ParamSpace]) -> tuple[dict[str, Any], dict[str, Any]]:
    if "space" not in row and "params" not in row:
        return {}, {}
    space = spaces[check_index(".space", row.get("space"), len(spaces))]
    floats, params = read_floats(".params", row.get("params")), list(row["params"])
    check_field(not any(map(math.isnan, floats)), ".params", "a list without NaN", params)
    if len(params) != len(space.names):
        raise FieldError(".params", f"{len(space.names)} numbers, as its space has names", params)
    positions = space.ranges.outside(params)
    outside = [space.names[i] for i in positions]
    for position, choices in space.categories:
        params[position] = choices[check_index(f".params[{position}]", params[position], len(choices))]
    if outside != row.get("outside", []):
        found = [f"{name}={params[space.names.index(name)]}" for name in outside] or params
        raise FieldError(".params", "in their ranges, except for those that `outside` names", found)
    for position in positions:
        positive = floats[position] > 0 or not getattr(space.distributions[space.names[position]], "log", False)
        check_field(positive, f".params[{position}]", "above 0, for its range is logarithmic", params[position])
    for position, kind in space.kinds:
        if type(params[position]) is not kind:
            check_field(not math.isinf(params[position]), f".params[{position}]", "an integer", params[position])
            params[position] = kind(params[position])
    return dict(zip(space.names, params, strict=True)), space.distributions.copy()


def _time(key: str, row: dict[str, Any], there: bool, *, optional: bool = False) -> datetime | None:
    time = None
    if key in row:
        try:
            time = to_local_time(datetime.fromisoformat(row[key]))
        except (TypeError, ValueError):
            raise FieldError(f".{key}", "a time in ISO 8601", row[key]) from None
    if (time is not None) != there and not optional:
        raise FieldError(f".{key}", f"{'there' if there else 'missing'}, for the trial is {row['state']}", row.get(key))
    return time


def _intermediate(row: dict[str, Any]) -> dict[int, float]:
    if "intermediate" not in row:
        return {}
    where, value = ".intermediate", row["intermediate"]
    if type(value) is not list or len(value) != 2 or type(value[0]) is not list:
        raise FieldError(where, "a list of steps and a list of values", value)
    steps, values = value[0], read_floats(f"{where}[1]", value[1])
    # Without a bound, a file could choose steps with equal hashes, which take quadratic time.
    if not all(type(step) is int and -BOUND < step < BOUND for step in steps):
        raise FieldError(f"{where}[0]", "a list of integers of 64 bits", steps)
    if len(steps) != len(values) or len(set(steps)) != len(steps):
        raise FieldError(where, "as many different steps as values", value)
    return dict(zip(steps, values, strict=True))
