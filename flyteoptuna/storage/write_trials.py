"""The trials of a study as lines of JSON, of which those of finished trials are made once."""

from __future__ import annotations

import json
import operator
import reprlib
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from flyteoptuna.core.plain_values import named, plain
from flyteoptuna.storage import file_limits
from flyteoptuna.storage.param_ranges import Ranges

START, BETWEEN, END = b',"trials":[\n', b",\n", b"\n]}"
"""What stands before, between and behind the rows, each of which is a line: JSON has no line breaks of its own."""

ROW = b'{"state":'
"""What every row begins with."""

CHOICE = (type(None), bool, int, float, str)
"""Types of the choices that JSON keeps as they are."""

NUMBER = {int, float}

BOUND = 2**63
"""Steps and ids are less, by their absolute values."""

_UNFINISHED = tuple(state for state in TrialState if not state.is_finished())


def _plain_number(value: Any) -> Any:
    # Optuna's storage in memory takes numpy's scalars as attributes.
    made = plain(value)
    if made is value:
        raise TypeError(f"Object of type {named(value)} is not JSON serializable")
    return made


_ENCODER = json.JSONEncoder(check_circular=False, separators=(",", ":"), default=_plain_number)

_TIMES = ("datetime_start", "datetime_complete")

_ALLOWED = {
    state: ((True, True),) if state.is_finished() else ((True, False), (state != TrialState.WAITING, False))
    for state in TrialState
}
"""Whether a trial has a start and an end, by its state."""

_ATTRIBUTES = ("user_attrs", "system_attrs")

_Space = tuple[int, tuple[tuple[int, str], ...]]


class Written(NamedTuple):
    """The rows of a study's first trials, as far as they have finished: nothing changes these any more.

    Attributes:
        trials: the trials themselves. A storage replaces a trial that it changes, so that the same one is unchanged.
        text: their rows, with ``BETWEEN`` between them.
        distributions: those that the rows refer to, in the order of their numbers.
        spaces: the same of spaces.
    """

    trials: Sequence[FrozenTrial]
    text: bytes
    distributions: Sequence[BaseDistribution]
    spaces: Sequence[dict[str, BaseDistribution]]


def finished(trials: Sequence[FrozenTrial]) -> int:
    """Number of the first trials that have finished."""
    return next((i for i, t in enumerate(trials) if t.state in _UNFINISHED), len(trials))


def write(trials: Sequence[FrozenTrial], before: Written | None) -> tuple[Tables, bytes, Written]:
    """The rows of trials, and the tables that they refer to.

    Args:
        trials: all trials of a study, in their order.
        before: what was written of the same study before, for its rows to be taken over.

    Returns:
        The tables, the rows with ``BETWEEN`` between them, and what will be ``before`` the next time.

    Raises:
        TypeError: an attribute or a choice that JSON cannot hold; names the trial and the key.
    """
    tables, lines, done = Tables(), list[bytes](), 0
    if before is not None and before.trials and _same(before.trials, trials):
        held = Tables()
        if held.hold(before):
            tables, lines, done = held, [before.text], len(before.trials)
    end = done + finished(trials[done:])
    lines += [_row(tables, trial) for trial in trials[done:end]]
    after = Written(trials[:end], BETWEEN.join(lines), tables.distributions[:], tables.spaces[:])
    lines += [_row(tables, trial) for trial in trials[end:]]
    return tables, BETWEEN.join(lines), after


def check(trial: FrozenTrial) -> None:
    """Raise what :func:`write` would raise for a trial."""
    categories = _categories(trial.distributions)
    for _, name in categories:
        _check_choices(name, cast(CategoricalDistribution, trial.distributions[name]))
    # Without tables, for a search checks each trial twice.
    encoded(f"trials[{trial.number}].", {**_outcome(trial), "params": _params(trial, categories)})


def _same(before: Sequence[FrozenTrial], trials: Sequence[FrozenTrial]) -> bool:
    return len(before) <= len(trials) and all(map(operator.is_, before, trials))


def _row(tables: Tables, trial: FrozenTrial) -> bytes:
    return encoded(f"trials[{trial.number}].", tables.row(trial))


def encoded(where: str, owner: dict[str, Any]) -> bytes:
    """An object as JSON.

    Raises:
        TypeError: JSON cannot hold it; names the attribute, after ``where``.
    """
    try:
        text = _ENCODER.encode(owner).encode()
        # What JSON holds has no cycles.
        if any(file_limits.too_deep(owner[kind]) for kind in _ATTRIBUTES if kind in owner):
            raise ValueError(f"more than {file_limits.MAX_DEPTH} lists and dictionaries inside each other")
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(_culprit(where, owner, error) or str(error)) from error
    return text


def _culprit(where: str, owner: dict[str, Any], error: Exception) -> str:
    for kind in _ATTRIBUTES:
        for key, value in owner.get(kind, {}).items():
            try:
                _ENCODER.encode({key: value})
                if file_limits.too_deep({key: value}):
                    raise error
            except (TypeError, ValueError, RecursionError) as found:
                return f"`{where}{kind}[{key!r}]` cannot be saved: JSON cannot hold it ({found})."
    return ""


class Tables:
    """Distributions, and spaces made of them, each written once, in the order in which trials first have them.

    Distributions are known by their identity, so that what they belong to has to be kept as long as this is used.

    Attributes:
        distributions: the distributions.
        spaces: the distributions of a trial, by name.
        plain: the distributions as JSON.
        numbers: the spaces as JSON, by the numbers of their distributions.
    """

    def __init__(self) -> None:
        self.distributions: list[BaseDistribution] = []
        self.spaces: list[dict[str, BaseDistribution]] = []
        self.plain: list[dict[str, Any]] = []
        self.numbers: list[tuple[tuple[str, int], ...]] = []
        self._ranges: list[Ranges] = []
        self._by_id: dict[int, int] = {}
        self._by_value: dict[Any, int] = {}
        self._by_ids: dict[tuple[Any, ...], _Space] = {}
        self._by_numbers: dict[tuple[tuple[str, int], ...], _Space] = {}

    def hold(self, before: Written) -> bool:
        """Take over the numbers of distributions and spaces; False if a file that others wrote has some twice."""
        for distribution in before.distributions:
            self.distribution("", distribution)
        for space in before.spaces:
            self.space(space)
        lengths = len(self.distributions), len(self.spaces)
        return lengths == (len(before.distributions), len(before.spaces))

    def distribution(self, name: str, distribution: BaseDistribution) -> int:
        """The number of a distribution.

        Raises:
            TypeError: a choice that JSON would not keep as it is; names the parameter.
        """
        index = self._by_id.get(id(distribution))
        if index is None:
            key: Any = (type(distribution), *vars(distribution).values())
            if isinstance(distribution, CategoricalDistribution):
                # Choices that are equal, as 1, True and 1.0 are, have different representations.
                key = repr(distribution.choices)
            index = self._by_value.get(key)
            if index is None:
                self.plain.append(_plain(name, distribution))
                self.distributions.append(distribution)
                index = self._by_value[key] = len(self.distributions) - 1
            self._by_id[id(distribution)] = index
        return index

    def space(self, distributions: dict[str, BaseDistribution]) -> _Space:
        """The number of a trial's space, and the position and name of each parameter that has choices."""
        # Trials that were asked of one study share their distributions.
        ids = (*distributions, *map(id, distributions.values()))
        if ids not in self._by_ids:
            key = tuple([(name, self.distribution(name, d)) for name, d in distributions.items()])
            if key not in self._by_numbers:
                self._by_numbers[key] = len(self.spaces), _categories(distributions)
                self.spaces.append(distributions)
                self._ranges.append(Ranges(distributions.values()))
                self.numbers.append(key)
            self._by_ids[ids] = self._by_numbers[key]
        return self._by_ids[ids]

    def row(self, trial: FrozenTrial) -> dict[str, Any]:
        """A trial as plain data."""
        row = _outcome(trial)
        if trial.distributions:
            row["space"], categories = self.space(trial.distributions)
            row["params"] = _params(trial, categories)
            names = tuple(trial.distributions)
            # A sampler or a user may fix a parameter outside its range, of which optuna only warns.
            if outside := self._ranges[row["space"]].outside(row["params"]):
                row["outside"] = [names[i] for i in outside]
        return row


def _categories(distributions: dict[str, BaseDistribution]) -> tuple[tuple[int, str], ...]:
    named = enumerate(distributions.items())
    return tuple([(i, name) for i, (name, d) in named if isinstance(d, CategoricalDistribution)])


def _params(trial: FrozenTrial, categories: tuple[tuple[int, str], ...]) -> list[Any]:
    params = trial.params
    values = [params[name] for name in trial.distributions]
    for position, name in categories:
        values[position] = _index(cast(CategoricalDistribution, trial.distributions[name]), params[name])
    return _floats(values)


def _outcome(trial: FrozenTrial) -> dict[str, Any]:
    """A trial as plain data, but for its parameters."""
    row: dict[str, Any] = {"state": trial.state.name}
    times = trial.datetime_start is not None, trial.datetime_complete is not None
    if times not in _ALLOWED[trial.state]:
        raise TypeError(f"`trials[{trial.number}]` cannot be saved: it is {trial.state.name}, {_seen(times)}.")
    if trial.values is not None:
        row["values"] = _floats(trial.values)
    if trial.datetime_start is not None:
        row["start"] = trial.datetime_start.isoformat()
    if trial.datetime_complete is not None:
        row["complete"] = trial.datetime_complete.isoformat()
    if trial.intermediate_values:
        steps, reported = trial.intermediate_values.keys(), trial.intermediate_values.values()
        row["intermediate"] = [[int(step) for step in steps], _floats(list(reported))]
        if not all(-BOUND < step < BOUND for step in steps):
            raise TypeError(f"`trials[{trial.number}].intermediate_values` cannot be saved: a step exceeds 63 bits.")
    if trial.user_attrs:
        row["user_attrs"] = trial.user_attrs
    if trial.system_attrs:
        row["system_attrs"] = trial.system_attrs
    if trial._trial_id != trial.number:
        row["id"] = trial._trial_id
    return row


def _seen(times: tuple[bool, bool]) -> str:
    return " and ".join(f"{'with' if there else 'without'} {name}" for there, name in zip(times, _TIMES, strict=True))


def _plain(name: str, distribution: BaseDistribution) -> dict[str, Any]:
    # The form that optuna itself gives a distribution in JSON.
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
        if not isinstance(choice, CHOICE):
            raise TypeError(
                f"Each choice of parameter `{name}` must be None, bool, int, float or str to be saved, but got "
                f"{reprlib.repr(choice)}, a {type(choice).__name__}."
            )


def _floats(values: list[Any]) -> list[Any]:
    # Values that were added, not told, may be numpy's.
    return values if set(map(type, values)) <= NUMBER else [v if type(v) in NUMBER else float(v) for v in values]


def _index(distribution: CategoricalDistribution, value: Any) -> int:
    for index, choice in enumerate(distribution.choices):
        if choice is value:
            return index
    for index, choice in enumerate(distribution.choices):
        if type(choice) is type(value) and repr(choice) == repr(value):
            return index
    return int(distribution.to_internal_repr(value))
