"""Ask a trial: suggest its parameters and build the objective's inputs."""

from __future__ import annotations

import copy
import dataclasses
import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar, cast

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

from flyteoptuna.errors import SpaceError, SuggestionFailedError
from flyteoptuna.internals.optuna_internals import (
    create_running_trial,
    declared_distributions,
    enqueued_params,
    running_trial,
    trial_record,
)
from flyteoptuna.logs import optuna_log_level
from flyteoptuna.space import space
from flyteoptuna.space.suggestions import Float, Integer, Suggestion
from flyteoptuna.study import serialisable_attributes
from flyteoptuna.study.system_attrs import require_search_mark, update_trial_mark
from flyteoptuna.trial import interrupts
from flyteoptuna.trial.call_objective import outcome_of_exception
from flyteoptuna.trial.marks import TRIAL_ATTRIBUTE, TrialMark
from flyteoptuna.values.json_values import plain_scalar
from flyteoptuna.values.text import exception_line, safe_repr

InputsT = TypeVar("InputsT")

# Maximum number of attempts to get a new point for a trial; the second half of them samples at random.
MAX_REASKS = 50


class AskedTrial(NamedTuple):
    """An asked trial, with the inputs from ``build``; None for a trial that is not to run."""

    number: int
    params: dict[str, Any]
    inputs: Any


def draw_value(trial: optuna.Trial, name: str, suggestion: Suggestion) -> Any:
    """Let a trial suggest one parameter; return the value.

    Raises:
        SuggestionFailedError: the trial suggests no value, for example because Optuna refuses an enqueued one.
    """
    try:
        return plain_scalar(_suggest(trial, name, suggestion))
    except Exception as error:
        raise SuggestionFailedError(f"Parameter `{name}`: {exception_line(error)}") from error


def _suggest(trial: optuna.Trial, name: str, suggestion: Suggestion) -> Any:
    if isinstance(suggestion, Float):
        # Some samplers of optuna 4.4 return numpy floats, which Flyte refuses.
        value = trial.suggest_float(name, suggestion.low, suggestion.high, step=suggestion.step, log=suggestion.log)
        return float(value)
    if isinstance(suggestion, Integer):
        return int(trial.suggest_int(name, suggestion.low, suggestion.high, step=suggestion.step, log=suggestion.log))
    # Members of an enum are names here.
    return trial.suggest_categorical(name, cast("tuple[CategoricalChoiceType, ...]", suggestion.choices))


def ask_trial(
    study: optuna.Study,
    generation: int | None,
    build: Callable[[optuna.Trial], InputsT],
    *,
    fresh: bool = False,
    worker: str = "",
    knew: int | None = None,
) -> AskedTrial:
    """Ask one trial of a study in memory; ``build`` makes the objective's inputs by suggesting.

    If the sampler or ``build`` raises, or the trial cannot be serialised, its mark says that it is to be told as FAIL,
    or as PRUNED, with the reason, and its inputs are None. ``KeyboardInterrupt`` is raised, and so is an exception of
    a sampler that leaves no trial. The trial's mark records ``generation``, ``worker`` and ``knew``. With ``fresh`` it
    asks again, up to ``MAX_REASKS`` times, until the point is new.
    """
    interrupts.raise_pending_interrupt()
    before = study.get_trials(deepcopy=False)
    mark = TrialMark(search=require_search_mark(study).count, worker=worker, knew=knew, generation=generation)
    inputs, number = None, -1
    try:
        trial = study.ask()
        number = trial.number
        inputs = _build_inputs(study, trial, build, fresh=fresh)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        number = _orphan_number(study, before) if number < 0 else number
        if number < 0:
            raise
        state, reason = outcome_of_exception(error)
        mark = dataclasses.replace(mark, state=state, error=reason)
    record = trial_record(study, number)
    record.params = {name: plain_scalar(value) for name, value in record.params.items()}
    record.system_attrs = {**record.system_attrs, TRIAL_ATTRIBUTE: mark.to_attribute()}
    if lost := serialisable_attributes.drop_unserialisable(study, number):
        update_trial_mark(study, number, state="FAIL", error=lost)
        inputs = None
    if record.state.is_finished():
        # The callback that builds the inputs has told the trial, so it does not run.
        inputs = None
    return AskedTrial(number, dict(record.params), inputs)


def _orphan_number(study: optuna.Study, before: Sequence[FrozenTrial]) -> int:
    """Number of the trial that ``study.ask`` created before its sampler raised; -1 for none."""
    known = {trial.number for trial in before if trial.state == TrialState.RUNNING}
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    return next((trial.number for trial in reversed(running) if trial.number not in known), -1)


def _build_inputs(
    study: optuna.Study, trial: optuna.Trial, build: Callable[[optuna.Trial], InputsT], *, fresh: bool
) -> InputsT:
    """Build the inputs of a trial; ask again until its point is new, at last with random points."""
    number, sampler = trial.number, study.sampler
    enqueued = enqueued_params(trial_record(study, number))
    # The user wants an enqueued point, even a second time.
    fresh = fresh and enqueued is None
    known = {params_key(t) for t in study.get_trials(deepcopy=False) if t.number != number} if fresh else set()
    try:
        for attempt in range(1, MAX_REASKS + 1):
            inputs = build(trial)
            if not known or attempt == MAX_REASKS or params_key(trial_record(study, number)) not in known:
                break
            if attempt >= MAX_REASKS // 2:
                study.sampler = optuna.samplers.RandomSampler(seed=number * MAX_REASKS + attempt)
            record = trial_record(study, number)
            record.params, record.distributions = {}, {}
            trial = running_trial(study, number)
    except (OverflowError, SuggestionFailedError) as error:
        if enqueued is None:
            raise
        raise SuggestionFailedError(
            f"{str(error).rstrip('.')}. The trial was enqueued with {safe_repr(enqueued)}."
        ) from error
    finally:
        study.sampler = sampler
    return inputs


def params_key(trial: FrozenTrial) -> tuple[tuple[str, str], ...] | None:
    """Hashable identity of a trial's parameters; None without parameters."""
    return tuple(sorted((k, repr(v)) for k, v in trial.params.items())) or None


def space_distributions(inputs: Mapping[str, Any]) -> dict[str, BaseDistribution]:
    """Distributions of the suggestions of a space, by parameter."""
    return {name: _to_distribution(suggestion) for name, suggestion in space.iter_suggestions(inputs)}


def _to_distribution(suggestion: Suggestion) -> BaseDistribution:
    if isinstance(suggestion, Float):
        return FloatDistribution(suggestion.low, suggestion.high, log=suggestion.log, step=suggestion.step)
    if isinstance(suggestion, Integer):
        return IntDistribution(suggestion.low, suggestion.high, log=suggestion.log, step=suggestion.step)
    return CategoricalDistribution(cast("tuple[CategoricalChoiceType, ...]", suggestion.choices))


def check_study_space(study: optuna.Study, inputs: Mapping[str, Any], *, with_all_trials: bool = False) -> None:
    """Refuse a space that contradicts a study, or whose parameters the sampler cannot suggest.

    It compares with the distributions that the study suggested, and ``with_all_trials`` with those of all trials.

    Raises:
        SpaceError: a parameter has another distribution in the study, and optuna does not allow the change; or a
            grid or brute-force sampler cannot suggest a parameter.
    """
    known = declared_distributions(study)
    if with_all_trials:
        trials = study.get_trials(deepcopy=False)
        known = {name: d for trial in reversed(trials) for name, d in trial.distributions.items()}
    for name, distribution in space_distributions(inputs).items():
        if name not in known:
            continue
        try:
            check_distribution_compatibility(known[name], distribution)
        except ValueError as error:
            raise SpaceError(
                f"Parameter `{name}` was {known[name]} in the study, and cannot be {distribution} now: {error} Give it "
                "another name, or begin a new study."
            ) from None
    _check_sampler_suggests(study, inputs)


def _check_sampler_suggests(study: optuna.Study, inputs: Mapping[str, Any]) -> None:
    # One failure of these samplers is final; other samplers may fail at one point alone.
    if inputs and isinstance(study.sampler, (optuna.samplers.GridSampler, optuna.samplers.BruteForceSampler)):
        copied = copy.deepcopy(study)
        with optuna_log_level(logging.ERROR), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trial: Any = create_running_trial(copied)
            try:
                for name, suggestion in space.iter_suggestions(inputs):
                    draw_value(trial, name, suggestion)
            except SuggestionFailedError as error:
                raise SpaceError(
                    f"{type(study.sampler).__name__} can suggest no trial of this space. {error}"
                ) from None
