"""Asking a trial: its parameters by suggesting, and the inputs made of them."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar, cast

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalChoiceType,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    check_distribution_compatibility,
)
from optuna.trial import FrozenTrial, TrialState

from flyteoptuna.core import space
from flyteoptuna.core.optuna_log import log_of
from flyteoptuna.core.plain_values import plain, said
from flyteoptuna.core.suggestions import Choice, Float, Integer, SpaceError, Suggestion
from flyteoptuna.core.trial import interrupts
from flyteoptuna.core.trial.call_objective import raised
from flyteoptuna.storage import memory
from flyteoptuna.study import unsavable
from flyteoptuna.study.system_attrs import (
    SEARCH_ATTRIBUTE,
    TRIAL_ATTRIBUTE,
    note,
    record_of,
    study_attr,
)

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


class NotSuggestedError(ValueError):
    """A parameter that cannot be suggested; names it."""


def draw(trial: Draws, name: str, suggestion: Suggestion) -> Any:
    """The value that a trial suggests for one suggestion.

    Raises:
        NotSuggestedError: it suggests none, as where an enqueued value is none that Optuna takes.
    """
    try:
        return plain(_drawn(trial, name, suggestion))
    except Exception as error:
        raise NotSuggestedError(f"Parameter `{name}`: {said(error)}") from error


def _drawn(trial: Draws, name: str, suggestion: Suggestion) -> Any:
    if isinstance(suggestion, Float):
        # Some samplers of optuna 4.4 draw numpy's floats, which Flyte does not take.
        drawn = trial.suggest_float(name, suggestion.low, suggestion.high, step=suggestion.step, log=suggestion.log)
        return float(drawn)
    if isinstance(suggestion, Integer):
        return int(trial.suggest_int(name, suggestion.low, suggestion.high, step=suggestion.step, log=suggestion.log))
    return trial.suggest_categorical(name, suggestion.choices)


def ask(
    study: optuna.Study,
    generation: int | None,
    build: Callable[[optuna.Trial], T],
    *,
    fresh: bool = False,
    noted: Mapping[str, Any] | None = None,
) -> Asked:
    """Ask one trial, and let ``build`` make its inputs by suggesting.

    Whatever raises, the sampler or ``build``, and whatever cannot be saved of the trial afterwards, the trial is to
    FAIL with that reason, or to be PRUNED, once its batch is told; its inputs are None. Ctrl-C alone goes on.

    Args:
        study: the study, in memory, in which a search has begun.
        generation: the generation that asks, counted from 0; None where there are none.
        build: makes the inputs of the objective.
        fresh: ask again, ``REASKS`` times in all, where the point is one of an earlier trial.
        noted: what else is noted on the trial.
    """
    interrupts.check()
    before = study.get_trials(deepcopy=False)
    mark: dict[str, Any] = {"search": study_attr(study, SEARCH_ATTRIBUTE)["count"], **(noted or {})}
    if generation is not None:
        mark["generation"] = generation
    inputs, number = None, -1
    try:
        trial = study.ask()
        number = trial.number
        inputs = _built(study, trial, build, fresh=fresh)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        number = _left(study, before) if number < 0 else number
        if number < 0:
            raise
        mark["state"], mark["error"] = raised(error)
    record = record_of(study, number)
    record.params = {name: plain(value) for name, value in record.params.items()}
    record.system_attrs = {**record.system_attrs, TRIAL_ATTRIBUTE: mark}
    if lost := unsavable.savable(study, number):
        note(study, number, state="FAIL", error=lost)
        inputs = None
    if record.state.is_finished():
        # What made its inputs has told it, and nothing is to be run.
        inputs = None
    return Asked(number, dict(record.params), inputs)


def _left(study: optuna.Study, before: Sequence[FrozenTrial]) -> int:
    """The trial that a sampler which raises has left running; -1 for none."""
    known = {trial.number for trial in before if trial.state == TrialState.RUNNING}
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    return next((trial.number for trial in reversed(running) if trial.number not in known), -1)


def _built(study: optuna.Study, trial: optuna.Trial, build: Callable[[optuna.Trial], T], *, fresh: bool) -> T:
    number, sampler = trial.number, study.sampler
    # A point that was enqueued is the user's wish, even a second time.
    fresh = fresh and "fixed_params" not in record_of(study, number).system_attrs
    known = {point(t) for t in study.get_trials(deepcopy=False) if t.number != number} if fresh else set()
    try:
        for again in range(1, REASKS + 1):
            inputs = build(trial)
            if not known or again == REASKS or point(record_of(study, number)) not in known:
                break
            if again >= REASKS // 2:
                study.sampler = optuna.samplers.RandomSampler(seed=number * REASKS + again)
            trial = _asked_again(study, number)
    finally:
        study.sampler = sampler
    return inputs


def _asked_again(study: optuna.Study, number: int) -> optuna.Trial:
    record = record_of(study, number)
    record.params, record.distributions = {}, {}
    return optuna.Trial(study, record._trial_id)


def point(trial: FrozenTrial) -> tuple[tuple[str, str], ...] | None:
    """What tells the parameters of a trial from those of others; None where it has none."""
    return tuple(sorted((k, repr(v)) for k, v in trial.params.items())) or None


class _Declares:
    """Takes a suggestion as a trial does, and declares its distribution instead of drawing."""

    def __init__(self) -> None:
        self.distributions: dict[str, BaseDistribution] = {}

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None, log: bool) -> float:
        self.distributions[name] = FloatDistribution(low, high, log=log, step=step)
        return low

    def suggest_int(self, name: str, low: int, high: int, *, step: int, log: bool) -> int:
        self.distributions[name] = IntDistribution(low, high, log=log, step=step)
        return low

    def suggest_categorical(self, name: str, choices: Sequence[Choice]) -> Choice:
        # An enum's members are their names by now.
        self.distributions[name] = CategoricalDistribution(cast("Sequence[CategoricalChoiceType]", choices))
        return choices[0]


def distributions(inputs: Mapping[str, Any]) -> dict[str, BaseDistribution]:
    """The distributions that trials have of the suggestions of a space, by parameter."""
    declares = _Declares()
    for name, suggestion in space.suggestions(inputs):
        draw(declares, name, suggestion)
    return declares.distributions


def check_space(study: optuna.Study, inputs: Mapping[str, Any], *, as_database: bool = False) -> None:
    """Refuse a space that contradicts a study, or that its sampler suggests no trial of.

    Args:
        study: the study, in memory.
        inputs: the inputs with their suggestions.
        as_database: whether the trials are kept as in a database, where those that were added to the study count too.

    Raises:
        SpaceError: the study knows one of its parameters by a distribution that optuna does not let it change, or a
            sampler of a grid or of all points cannot suggest one of them.
    """
    known = memory.declared(study)
    if as_database:
        trials = study.get_trials(deepcopy=False)
        known = {name: each for trial in reversed(trials) for name, each in trial.distributions.items()}
    for name, distribution in distributions(inputs).items():
        if name not in known:
            continue
        try:
            check_distribution_compatibility(known[name], distribution)
        except ValueError as error:
            raise SpaceError(
                f"Parameter `{name}` was {known[name]} in the study, and cannot be {distribution} now: {error} Give it "
                "another name, or begin a new study."
            ) from None
    _check_suggested(study, inputs)


def _check_suggested(study: optuna.Study, inputs: Mapping[str, Any]) -> None:
    # What these cannot suggest once they never can; others may be unlucky.
    if inputs and isinstance(study.sampler, (optuna.samplers.GridSampler, optuna.samplers.BruteForceSampler)):
        tried = copy.deepcopy(study)
        with log_of(logging.ERROR), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # What is enqueued is asked of nobody.
            trial: Any = optuna.Trial(tried, tried._storage.create_new_trial(tried._study_id))
            try:
                for name, suggestion in space.suggestions(inputs):
                    draw(trial, name, suggestion)
            except NotSuggestedError as error:
                raise SpaceError(
                    f"{type(study.sampler).__name__} can suggest no trial of this space. {error}"
                ) from None
