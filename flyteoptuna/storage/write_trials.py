"""Encode the trials of a study as rows of JSON; the row of a finished trial is encoded once."""

from __future__ import annotations

import json
import math
import operator
import reprlib
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, cast

from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from flyteoptuna.internals.optuna_internals import trial_id
from flyteoptuna.storage import file_limits
from flyteoptuna.storage.param_ranges import ParamRanges
from flyteoptuna.values.json_values import escape_surrogates, plain_scalar
from flyteoptuna.values.text import is_utf8, type_name

# Text before, between and after the rows. Each row is one line, because encoded JSON has no line breaks.
START, BETWEEN, END = b',"trials":[\n', b",\n", b"\n]}"
# Beginning of each row.
ROW = b'{"state":'
# Types of choices that JSON represents exactly.
CHOICE_TYPES = (type(None), bool, int, float, str)
NUMBER_TYPES = {int, float}
# Exclusive bound of ids, and of the absolute values of steps.
BOUND = 2**63
# Local times between which each has a time in UTC.
_FIRST_TIME, _LAST_TIME = datetime.min + timedelta(days=1), datetime.max - timedelta(days=1)
_ATTRIBUTE_FIELDS = ("user_attrs", "system_attrs")
# Allowed combinations of a trial having a start and an end, by state.
_TIMES_BY_STATE = {
    state: ((True, True),) if state.is_finished() else ((True, False), (state != TrialState.WAITING, False))
    for state in TrialState
}
_Space = tuple[int, tuple[tuple[int, str], ...]]


def _plain_number(value: Any) -> Any:
    # Optuna's storage in memory accepts numpy scalars as attributes.
    plain = plain_scalar(value)
    if plain is value:
        raise TypeError(f"Object of type {type_name(value)} is not JSON serializable")
    return plain


_ENCODER = json.JSONEncoder(check_circular=False, separators=(",", ":"), default=_plain_number)


class WrittenRows(NamedTuple):
    """Rows of the finished trials at the beginning of a study, which do not change any more.

    Attributes:
        trials: the trials. A storage replaces a trial when it changes it, so the same object is unchanged.
        text: their rows, joined by ``BETWEEN``.
        distributions: the distributions that the rows refer to, by index.
        spaces: the spaces that the rows refer to, by index.
    """

    trials: Sequence[FrozenTrial]
    text: bytes
    distributions: Sequence[BaseDistribution]
    spaces: Sequence[dict[str, BaseDistribution]]


def count_finished_prefix(trials: Sequence[FrozenTrial]) -> int:
    """Number of finished trials before the first unfinished one."""
    return next((i for i, t in enumerate(trials) if not t.state.is_finished()), len(trials))


def encode_trials(
    trials: Sequence[FrozenTrial], before: WrittenRows | None
) -> tuple[DistributionTables, bytes, WrittenRows]:
    """Encode the trials of a study as rows of JSON; the rows of an earlier call, ``before``, are reused.

    Returns:
        The tables that the rows refer to, the rows joined by ``BETWEEN``, and ``before`` for the next call.

    Raises:
        TypeError: JSON cannot hold an attribute or a choice; names the trial and the key.
    """
    tables, lines, done = DistributionTables(), list[bytes](), 0
    if before is not None and before.trials:
        adopted = DistributionTables()
        unchanged = len(before.trials) <= len(trials) and all(map(operator.is_, before.trials, trials))
        if unchanged and adopted.adopt(before):
            tables, lines, done = adopted, [before.text], len(before.trials)
    end = done + count_finished_prefix(trials[done:])
    lines += [_encode_row(tables, trial) for trial in trials[done:end]]
    after = WrittenRows(trials[:end], BETWEEN.join(lines), tables.distributions[:], tables.spaces[:])
    lines += [_encode_row(tables, trial) for trial in trials[end:]]
    return tables, BETWEEN.join(lines), after


def check_trial(trial: FrozenTrial) -> None:
    """Raise the error that ``encode_trials`` would raise for a trial."""
    categories = _categorical_params(trial.distributions)
    for _, name in categories:
        _check_choices(name, cast(CategoricalDistribution, trial.distributions[name]))
    # Without tables, because a search checks each trial twice.
    encode_object(f"trials[{trial.number}].", {**_outcome_fields(trial), "params": _encode_params(trial, categories)})


def _encode_row(tables: DistributionTables, trial: FrozenTrial) -> bytes:
    return encode_object(f"trials[{trial.number}].", tables.row(trial))


def encode_object(where: str, owner: dict[str, Any]) -> bytes:
    """Encode an object as JSON; ``TypeError`` names the attribute that JSON cannot hold, with the prefix ``where``."""
    try:
        text = escape_surrogates(_ENCODER.encode(owner)).encode()
        # After encoding, which fails for cycles.
        if any(file_limits.is_nested_too_deeply(owner[kind]) for kind in _ATTRIBUTE_FIELDS if kind in owner):
            raise ValueError(f"more than {file_limits.MAX_DEPTH} lists and dictionaries inside each other")
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(_find_culprit(where, owner, error) or str(error)) from error
    return text


def _find_culprit(where: str, owner: dict[str, Any], error: Exception) -> str:
    for kind in _ATTRIBUTE_FIELDS:
        for key, value in owner.get(kind, {}).items():
            try:
                _ENCODER.encode({key: value})
                if file_limits.is_nested_too_deeply({key: value}):
                    raise error
            except (TypeError, ValueError, RecursionError) as found:
                return f"`{where}{kind}[{key!r}]` cannot be saved: JSON cannot hold it ({found})."
    return ""


class DistributionTables:
    """Tables of the distributions and spaces of trials, without duplicates, in the order of their first trials.

    Distributions are recognised by ``id``, so their trials must live as long as the tables. A space in JSON is a list
    of names and of indices of distributions.
    """

    def __init__(self) -> None:
        self.distributions: list[BaseDistribution] = []
        self.spaces: list[dict[str, BaseDistribution]] = []
        self.distributions_json: list[dict[str, Any]] = []
        self.spaces_json: list[tuple[tuple[str, int], ...]] = []
        self._ranges: list[ParamRanges] = []
        self._by_id: dict[int, int] = {}
        self._by_value: dict[Any, int] = {}
        self._by_ids: dict[tuple[Any, ...], _Space] = {}
        self._by_numbers: dict[tuple[tuple[str, int], ...], _Space] = {}

    def adopt(self, before: WrittenRows) -> bool:
        """Add the tables of earlier rows; False if they contain duplicates, as in a file of another writer."""
        for distribution in before.distributions:
            self.distribution("", distribution)
        for space in before.spaces:
            self.space(space)
        lengths = len(self.distributions), len(self.spaces)
        return lengths == (len(before.distributions), len(before.spaces))

    def distribution(self, name: str, distribution: BaseDistribution) -> int:
        """Index of a distribution, which is added if it is new."""
        index = self._by_id.get(id(distribution))
        if index is None:
            key: Any = (type(distribution), *vars(distribution).values())
            if isinstance(distribution, CategoricalDistribution):
                # Equal choices such as 1, True and 1.0 differ by their repr.
                key = repr(distribution.choices)
            index = self._by_value.get(key)
            if index is None:
                self.distributions_json.append(_distribution_to_json(name, distribution))
                self.distributions.append(distribution)
                index = self._by_value[key] = len(self.distributions) - 1
            self._by_id[id(distribution)] = index
        return index

    def space(self, distributions: dict[str, BaseDistribution]) -> _Space:
        """Index of a trial's space, and position and name of each categorical parameter."""
        # Trials of one study share their distribution objects.
        ids = (*distributions, *map(id, distributions.values()))
        if ids not in self._by_ids:
            key = tuple([(name, self.distribution(name, d)) for name, d in distributions.items()])
            if key not in self._by_numbers:
                self._by_numbers[key] = len(self.spaces), _categorical_params(distributions)
                self.spaces.append(distributions)
                self._ranges.append(ParamRanges(distributions.values()))
                self.spaces_json.append(key)
            self._by_ids[ids] = self._by_numbers[key]
        return self._by_ids[ids]

    def row(self, trial: FrozenTrial) -> dict[str, Any]:
        """A trial as a JSON object."""
        row = _outcome_fields(trial)
        if trial.distributions:
            row["space"], categories = self.space(trial.distributions)
            row["params"] = _encode_params(trial, categories)
            names = tuple(trial.distributions)
            # Optuna only warns of a parameter that a sampler or a user fixes outside its range.
            if outside := self._ranges[row["space"]].outside(row["params"]):
                row["outside"] = [names[i] for i in outside]
        return row


def _categorical_params(distributions: dict[str, BaseDistribution]) -> tuple[tuple[int, str], ...]:
    named = enumerate(distributions.items())
    return tuple([(i, name) for i, (name, d) in named if isinstance(d, CategoricalDistribution)])


def _encode_params(trial: FrozenTrial, categories: tuple[tuple[int, str], ...]) -> list[Any]:
    params = trial.params
    values = [params[name] for name in trial.distributions]
    for position, name in categories:
        values[position] = _choice_index(cast(CategoricalDistribution, trial.distributions[name]), params[name])
    # Params of added trials may be numpy scalars.
    return [v if type(v) in NUMBER_TYPES else float(v) for v in values]


def told_values(state: TrialState, values: list[float]) -> list[float] | None:
    """Values that Optuna would tell: none of a failed trial, which may have had some before, and none with NaN."""
    return None if state == TrialState.FAIL or any(map(math.isnan, values)) else values


def to_local_time(time: datetime) -> datetime:
    """A time as Optuna has it: local, without a time zone, and far enough from the ends of the calendar for UTC."""
    local = time
    if time.tzinfo is not None:
        try:
            local = time.astimezone().replace(tzinfo=None)
        except (OverflowError, ValueError):
            local = time.replace(tzinfo=None)
    return min(max(local, _FIRST_TIME), _LAST_TIME)


def _outcome_fields(trial: FrozenTrial) -> dict[str, Any]:
    """The fields of a trial without its parameters."""
    row: dict[str, Any] = {"state": trial.state.name}
    if trial.values is not None:
        values = told_values(trial.state, _to_floats(trial, "values", trial.values))
        if values is not None:
            row["values"] = values
        elif trial.state == TrialState.COMPLETE:
            raise TypeError(f"`trials[{trial.number}].values` cannot be saved: the trial is COMPLETE, with NaN.")
    times = trial.datetime_start is not None, trial.datetime_complete is not None
    if times not in _TIMES_BY_STATE[trial.state]:
        named = zip(times, ("datetime_start", "datetime_complete"), strict=True)
        problem = " and ".join(f"{'with' if there else 'without'} {name}" for there, name in named)
        raise TypeError(f"`trials[{trial.number}]` cannot be saved: it is {trial.state.name}, {problem}.")
    if trial.datetime_start is not None:
        row["start"] = to_local_time(trial.datetime_start).isoformat()
    if trial.datetime_complete is not None:
        row["complete"] = to_local_time(trial.datetime_complete).isoformat()
    if trial.intermediate_values:
        steps, reported = trial.intermediate_values.keys(), trial.intermediate_values.values()
        values = _to_floats(trial, "intermediate_values", reported)
        row["intermediate"] = [[int(step) for step in steps], values]
        if not all(-BOUND < step < BOUND for step in steps):
            raise TypeError(f"`trials[{trial.number}].intermediate_values` cannot be saved: a step exceeds 63 bits.")
    if trial.user_attrs:
        row["user_attrs"] = trial.user_attrs
    if trial.system_attrs:
        row["system_attrs"] = trial.system_attrs
    if (identifier := trial_id(trial)) != trial.number:
        row["id"] = identifier
    return row


def _distribution_to_json(name: str, distribution: BaseDistribution) -> dict[str, Any]:
    # As `optuna.distributions.distribution_to_json`.
    attributes: dict[str, Any]
    if isinstance(distribution, CategoricalDistribution):
        _check_choices(name, distribution)
        kind, attributes = "CategoricalDistribution", {"choices": distribution.choices}
    else:
        kind = "IntDistribution" if isinstance(distribution, IntDistribution) else "FloatDistribution"
        low, high, log, step = (getattr(distribution, key) for key in ("low", "high", "log", "step"))
        attributes = {"low": low, "high": high, "log": bool(log), "step": step}
    return {"name": kind, "attributes": attributes}


def _check_choices(name: str, distribution: CategoricalDistribution) -> None:
    for choice in distribution.choices:
        if not isinstance(choice, CHOICE_TYPES):
            raise TypeError(
                f"Each choice of parameter `{name}` must be None, bool, int, float or str to be saved, but got "
                f"{reprlib.repr(choice)}, a {type(choice).__name__}."
            )
        if isinstance(choice, str) and not is_utf8(choice):
            raise TypeError(f"Each choice of parameter `{name}` must be text of UTF-8, but got {reprlib.repr(choice)}.")


def _to_floats(trial: FrozenTrial, field: str, values: Iterable[Any]) -> list[float]:
    try:
        return list(map(float, values))
    except OverflowError:
        raise TypeError(f"`trials[{trial.number}].{field}` cannot be saved: a number exceeds floats.") from None


def _choice_index(distribution: CategoricalDistribution, value: Any) -> int:
    for index, choice in enumerate(distribution.choices):
        if choice is value:
            return index
    for index, choice in enumerate(distribution.choices):
        if type(choice) is type(value) and repr(choice) == repr(value):
            return index
    return int(distribution.to_internal_repr(value))
