"""Asking a trial: its parameters by suggesting, and the inputs made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import optuna
from optuna.trial import FrozenTrial

from flyteoptuna.core.recording import InputsNotMade, raised
from flyteoptuna.core.suggestions import Choice, Float, Integer, Suggestion
from flyteoptuna.storage import rows
from flyteoptuna.study.marks import SEARCH_ATTRIBUTE, TRIAL_ATTRIBUTE, record_of, set_trial_attr, study_attr

T = TypeVar("T")

REASKS = 50
"""Most times that a trial is asked to get a new point. From half of them on, points are drawn at random."""


class Draws(Protocol):
    """What draws parameters: an ``optuna.Trial``."""

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None, log: bool) -> float: ...
    def suggest_int(self, name: str, low: int, high: int, *, step: int, log: bool) -> int: ...
    def suggest_categorical(self, name: str, choices: Sequence[Choice]) -> Choice: ...


class Asked(NamedTuple):
    """A trial that was asked: its number, its parameters and the inputs made of them."""

    number: int
    params: dict[str, Any]
    inputs: Any


def draw(trial: Draws, name: str, suggestion: Suggestion) -> Any:
    """The value that a trial suggests for one suggestion."""
    if isinstance(suggestion, Float):
        # Some samplers of optuna 4.4 draw numpy's floats, which Flyte does not take.
        drawn = trial.suggest_float(name, suggestion.low, suggestion.high, step=suggestion.step, log=suggestion.log)
        return float(drawn)
    if isinstance(suggestion, Integer):
        return trial.suggest_int(name, suggestion.low, suggestion.high, step=suggestion.step, log=suggestion.log)
    return trial.suggest_categorical(name, suggestion.choices)


def _asked_again(study: optuna.Study, number: int) -> optuna.Trial:
    record = record_of(study, number)
    record.params, record.distributions = {}, {}
    return optuna.Trial(study, record._trial_id)


def ask(
    study: optuna.Study,
    generation: int | None,
    build: Callable[[optuna.Trial], T],
    *,
    fresh: bool = False,
    noted: Mapping[str, Any] | None = None,
) -> Asked:
    """Ask one trial, and let ``build`` make its inputs by suggesting.

    Where ``build`` raises ``InputsNotMade``, the trial is to FAIL with that reason, or to be PRUNED, once its batch is
    told; its inputs are None.

    Args:
        study: the study, in which a search has begun.
        generation: the generation that asks, counted from 0; None where there are none.
        build: makes the inputs of the objective.
        fresh: ask again, ``REASKS`` times in all, where the point is one of an earlier trial.
        noted: what else is noted on the trial.

    Raises:
        TypeError: ``build`` left an attribute or a choice that cannot be saved.
    """
    trial = study.ask()
    mark: dict[str, Any] = {"search": study_attr(study, SEARCH_ATTRIBUTE)["count"], **(noted or {})}
    if generation is not None:
        mark["generation"] = generation
    # A point that was enqueued is the user's wish, even a second time.
    fresh = fresh and "fixed_params" not in record_of(study, trial.number).system_attrs
    known = {point(t) for t in study.get_trials(deepcopy=False) if t.number != trial.number} if fresh else set()
    sampler, inputs = study.sampler, None
    try:
        for again in range(1, REASKS + 1):
            inputs = build(trial)
            if again == REASKS or point(record_of(study, trial.number)) not in known:
                break
            if again >= REASKS // 2:
                study.sampler = optuna.samplers.RandomSampler(seed=trial.number * REASKS + again)
            trial = _asked_again(study, trial.number)
    except InputsNotMade as error:
        mark["state"], mark["error"] = raised(error.__cause__ or error)
        inputs = None
    finally:
        study.sampler = sampler
    record = record_of(study, trial.number)
    set_trial_attr(study, record, TRIAL_ATTRIBUTE, mark)
    # A local run saves the study when all trials have run.
    rows.check(record_of(study, trial.number))
    return Asked(trial.number, dict(record.params), inputs)


def point(trial: FrozenTrial) -> tuple[tuple[str, str], ...] | None:
    """What tells the parameters of a trial from those of others; None where it has none."""
    return tuple(sorted((k, repr(v)) for k, v in trial.params.items())) or None
