"""The trials in a study's JSON, read and checked field by field."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from flyteoptuna.storage.field_checks import Misfit, attributes, below, numbers, refuse
from flyteoptuna.storage.param_ranges import Ranges
from flyteoptuna.storage.write_trials import BOUND

_STATES = {state.name: state for state in TrialState}

_FINISHED = {state.name for state in TrialState if state.is_finished()}

_ROW = {
    *("state", "values", "space", "params", "outside", "start", "complete"),
    *("intermediate", "user_attrs", "system_attrs", "id"),
}


class Space(NamedTuple):
    """The parameters of a trial: names, distributions, their ranges, and the position and choices of each with some."""

    names: tuple[str, ...]
    distributions: dict[str, BaseDistribution]
    ranges: Ranges
    categories: tuple[tuple[int, tuple[Any, ...]], ...]


def read_space(where: str, found: Any, table: Sequence[BaseDistribution]) -> Space:
    """A space of the JSON, whose distributions are those of a table."""
    pairs = found if type(found) is list else refuse(where, "a list", found)
    distributions: dict[str, BaseDistribution] = {}
    for i, pair in enumerate(pairs):
        if type(pair) is not list or len(pair) != 2 or type(pair[0]) is not str or pair[0] in distributions:
            refuse(f"{where}[{i}]", "a new name and the index of a distribution", pair)
        distributions[pair[0]] = table[below(f"{where}[{i}][1]", pair[1], len(table))]
    numbered = enumerate(distributions.values())
    categories = [(i, d.choices) for i, d in numbered if isinstance(d, CategoricalDistribution)]
    return Space(tuple(distributions), distributions, Ranges(distributions.values()), tuple(categories))


def read_trials(rows: list[Any], spaces: Sequence[Space], arity: int) -> tuple[list[FrozenTrial], list[int]]:
    """The trials of the JSON, and the number of the space of each, -1 for none. Leaves no row, for there may be many.

    Raises:
        Misfit: a field is not as it must be; names the trial and the field.
    """
    made, used = list[FrozenTrial](), list[int]()
    try:
        for number in range(len(rows)):
            row, rows[number] = rows[number], None
            made.append(_trial(number, row, spaces, arity))
            used.append(row.get("space", -1))
    except Misfit as error:
        raise Misfit(f"trials[{len(made)}]{error.where}", error.expected, error.found) from None
    return made, used


def _trial(number: int, row: Any, spaces: Sequence[Space], arity: int) -> FrozenTrial:
    # Places begin at the row, for there are many of these.
    if type(row) is not dict or not row.keys() <= _ROW:
        refuse("", f"an object of {', '.join(sorted(_ROW))}", row)
    state = _STATES.get(row["state"]) if type(row.get("state")) is str else None
    if state is None:
        refuse(".state", f"one of {', '.join(_STATES)}", row.get("state"))
    params, distributions = _params(row, spaces)
    return FrozenTrial(
        number=number,
        trial_id=below(".id", row["id"], BOUND) if "id" in row else number,
        state=state,
        value=None,
        values=_values(row, state, arity),
        datetime_start=_time("start", row, state != TrialState.WAITING, optional=state == TrialState.WAITING),
        datetime_complete=_time("complete", row, row["state"] in _FINISHED),
        params=params,
        distributions=distributions,
        intermediate_values=_intermediate(row),
        user_attrs=attributes(".user_attrs", row["user_attrs"]) if "user_attrs" in row else {},
        system_attrs=attributes(".system_attrs", row["system_attrs"], system=True) if "system_attrs" in row else {},
    )


def _values(row: dict[str, Any], state: TrialState, arity: int) -> list[float] | None:
    if "values" not in row:
        if state == TrialState.COMPLETE:
            refuse(".values", "there, for the trial is COMPLETE", None)
        return None
    values = numbers(".values", row["values"], nan=state != TrialState.COMPLETE)
    if len(values) != arity:
        refuse(".values", f"{arity} numbers", values)
    return values


def _params(row: dict[str, Any], spaces: Sequence[Space]) -> tuple[dict[str, Any], dict[str, Any]]:
    if "space" not in row and "params" not in row:
        return {}, {}
    space = spaces[below(".space", row.get("space"), len(spaces))]
    params: list[Any] = numbers(".params", row.get("params"), nan=False)
    if len(params) != len(space.names):
        refuse(".params", f"{len(space.names)} numbers, as its space has names", params)
    outside = [space.names[i] for i in space.ranges.outside(params)]
    for position, choices in space.categories:
        params[position] = choices[below(f".params[{position}]", params[position], len(choices))]
    if outside != row.get("outside", []):
        expected = "in their ranges, except for those that `outside` names"
        refuse(".params", expected, [f"{name}={params[space.names.index(name)]}" for name in outside] or params)
    return dict(zip(space.names, params, strict=True)), space.distributions.copy()


def _time(key: str, row: dict[str, Any], there: bool, *, optional: bool = False) -> datetime | None:
    found = None
    if key in row:
        try:
            found = datetime.fromisoformat(row[key])
        except (TypeError, ValueError):
            refuse(f".{key}", "a time in ISO 8601", row[key])
    if (found is not None) != there and not optional:
        refuse(f".{key}", f"{'there' if there else 'missing'}, for the trial is {row['state']}", row.get(key))
    return found


def _intermediate(row: dict[str, Any]) -> dict[int, float]:
    if "intermediate" not in row:
        return {}
    where, found = ".intermediate", row["intermediate"]
    if type(found) is not list or len(found) != 2 or type(found[0]) is not list:
        refuse(where, "a list of steps and a list of values", found)
    steps, values = found[0], numbers(f"{where}[1]", found[1])
    # Without a bound, steps could be chosen to have the same hash, and would take quadratic time.
    if not all(type(step) is int and -BOUND < step < BOUND for step in steps):
        refuse(f"{where}[0]", "a list of integers of 64 bits", steps)
    if len(steps) != len(values) or len(set(steps)) != len(steps):
        refuse(where, "as many different steps as values", found)
    return dict(zip(steps, values, strict=True))
