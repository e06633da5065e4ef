"""Check that the study of a search satisfies the rules of any search."""

from __future__ import annotations

import copy
import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from flyteoptuna.internals import optuna_internals as internals
from flyteoptuna.optimizer import Optimizer
from flyteoptuna.search import plan
from flyteoptuna.space.space import iter_suggestions
from flyteoptuna.space.suggestions import Category, Float, Suggestion, can_suggest
from flyteoptuna.study import system_attrs
from flyteoptuna.study.ask import space_distributions
from flyteoptuna.study.stopping import MIN_TRIALS_TO_GIVE_UP
from flyteoptuna.testing.arguments import check_type
from flyteoptuna.values.did_you_mean import names_arguments
from flyteoptuna.values.tracebacks import public

# Samplers that end a search once they have suggested every point.
_EXHAUSTIBLE_SAMPLERS = (optuna.samplers.GridSampler, optuna.samplers.BruteForceSampler)


@public
@names_arguments
def check(
    study: optuna.Study,
    optimizer: Optimizer,
    inputs: Mapping[str, Any] | None = None,
    *,
    sampler: optuna.samplers.BaseSampler | None = None,
) -> None:
    """Check that the last search of a study satisfies the rules of any search.

    - It has ``n_trials`` trials. It has fewer only if a budget, a callback or an exhausted space may have ended it.
    - Each trial was told once.
    - No batch exceeds the batch size. With reused pods, the number of workers is at most ``concurrency``.
    - Each parameter is in the range of its suggestion.
    - No batch was asked after a budget was exhausted.

    Args:
        study: the study of a simulated, local or remote search.
        optimizer: the search's optimizer, or one with the same settings, none of which may be promises.
        inputs: the inputs of the search. Default, and for a callback: parameters are checked against the distributions
            of the trials.
        sampler: the study's sampler in its state before the search. If given, the parameters must be those that plain
            Optuna suggests when it is asked for, and told, the same batches. Not for ``reuse_pods`` or
            ``avoid_duplicates``.

    Raises:
        AssertionError: the study breaks rules; lists all of them.
        TypeError: an argument has a wrong type.
        ValueError: the study has no search, or its suggestions do not depend on the sampler alone.
    """
    check_type("study", study, optuna.Study, "a study")
    check_type("optimizer", optimizer, Optimizer, "an Optimizer")
    check_type("sampler", sampler, (optuna.samplers.BaseSampler, type(None)), "a sampler")
    if system_attrs.find_search_mark(study) is None:
        raise ValueError("`study` must be of a search, but none has been begun on it.")
    if sampler is not None and (optimizer.reuse_pods or optimizer.avoid_duplicates):
        raise ValueError("With `reuse_pods` or `avoid_duplicates` trials depend on more than the sampler.")
    rules = _SearchRules(study, optimizer)
    violations = [
        *rules.check_trial_count(),
        *rules.check_told(),
        *rules.check_batches(),
        *rules.check_params(dict(iter_suggestions(inputs or {}))),
        *rules.check_budgets(),
        *(rules.check_sampler(sampler) if sampler is not None else ()),
    ]
    if violations:
        raise AssertionError("\n".join(violations))


class _SearchRules:
    """Rules of a search. Each check yields its violations."""

    def __init__(self, study: optuna.Study, optimizer: Optimizer) -> None:
        self.study, self.optimizer = study, optimizer
        self.trials = system_attrs.search_trials(study)
        self.failed = [t for t in self.trials if t.state == TrialState.FAIL]
        self.batch_size = optimizer.concurrency if optimizer.batch_size is None else optimizer.batch_size
        self.groups: dict[Any, list[FrozenTrial]] = defaultdict(list)
        for trial in self.trials:
            mark = system_attrs.trial_mark(trial)
            self.groups[mark.worker if optimizer.reuse_pods else mark.generation].append(trial)

    def check_trial_count(self) -> Iterator[str]:
        """Check the number of trials."""
        expected, actual = self.optimizer.n_trials, len(self.trials)
        if expected is not None and (actual > expected or (actual < expected and not self._may_end_early())):
            yield f"The search must have {expected} trials, but has {actual}."

    def _may_end_early(self) -> bool:
        optimizer = self.optimizer
        return bool(
            optimizer.timeout is not None
            or optimizer.callbacks
            or optimizer.avoid_duplicates
            or isinstance(self.study.sampler, _EXHAUSTIBLE_SAMPLERS)
            or (optimizer.max_failures is not None and len(self.failed) > optimizer.max_failures)
            or len(self.failed) == len(self.trials) >= MIN_TRIALS_TO_GIVE_UP
        )

    def check_told(self) -> Iterator[str]:
        """Check that each trial has ended, with the values of its state."""
        numbers = [trial.number for trial in self.study.get_trials(deepcopy=False)]
        if numbers != [*range(len(numbers))]:
            yield f"The numbers of the trials must be 0 to {len(numbers) - 1}, but are {numbers}."
        for trial in self.trials:
            complete, values = trial.state == TrialState.COMPLETE, trial.values or []
            if not trial.state.is_finished():
                yield f"Trial {trial.number} must have been told, but is {trial.state.name}."
            elif complete and (len(values) != len(self.study.directions) or any(map(math.isnan, values))):
                yield f"Trial {trial.number} must have {len(self.study.directions)} value(s), but has {values}."
            elif trial.state == TrialState.FAIL and values:
                yield f"Trial {trial.number} has failed, and must have no values, but has {values}."

    def check_batches(self) -> Iterator[str]:
        """Check the sizes of the batches, or the number of workers."""
        if self.optimizer.reuse_pods:
            if len(self.groups) > self.optimizer.concurrency:
                yield f"There must be at most {self.optimizer.concurrency} workers, but were {len(self.groups)}."
            return
        # A trial without a generation belongs to none of the consecutive ones.
        marks = [system_attrs.trial_mark(trial) for trial in self.trials]
        generations = [-1 if mark.generation is None else mark.generation for mark in marks]
        sizes = Counter(generations)
        if sorted(sizes) != [*range(len(sizes))] or generations != sorted(generations):
            yield f"The trials must be asked one generation after another, but are of {generations}."
            return
        total = self.optimizer.n_trials
        for generation, size in sizes.items():
            expected = self.batch_size if total is None else plan.batch_length(generation, total, self.batch_size)
            is_last = generation == len(sizes) - 1
            if size > expected or (size < expected and not (is_last and self._may_end_early())):
                yield f"Generation {generation} must have {expected} trials, but has {size}."

    def check_params(self, space: Mapping[str, Suggestion]) -> Iterator[str]:
        """Check each parameter and its distribution against its suggestion."""
        declared = space_distributions(space)
        for trial in self.trials:
            if internals.enqueued_params(trial) is not None:
                # The user chose the parameters of an enqueued trial.
                continue
            for name, value in trial.params.items():
                if space and name not in space:
                    yield f"Trial {trial.number} has a parameter `{name}` that the space does not have."
                    continue
                distribution = trial.distributions[name]
                if space and distribution != declared[name]:
                    about = f"must be asked by {declared[name]}, but was by {distribution}"
                    yield f"`{name}` of trial {trial.number} {about}."
                within = space[name] if space else distribution
                if not _suggests(within, value):
                    yield f"`{name}` of trial {trial.number} must be one of {within!r}, but is {value!r}."
            if space and trial.state == TrialState.COMPLETE and trial.params.keys() != space.keys():
                yield f"Trial {trial.number} must have the parameters {[*space]}, but has {[*trial.params]}."

    def check_budgets(self) -> Iterator[str]:
        """Check by the trials' times that none was asked after a budget was exhausted."""
        max_failures, timeout = self.optimizer.max_failures, self.optimizer.timeout
        in_flight = self.optimizer.concurrency if self.optimizer.reuse_pods else self.batch_size
        if max_failures is not None and len(self.failed) > max_failures + in_flight:
            yield (
                f"At most {max_failures} + {in_flight} trials may fail with `max_failures={max_failures}`, "
                f"but {len(self.failed)} have."
            )
        if timeout is None:
            return
        seconds = timeout.total_seconds() if hasattr(timeout, "total_seconds") else float(timeout)
        for trial, previous in self._iter_previous():
            ended = max((t.datetime_complete.timestamp() for t in previous if t.datetime_complete), default=0.0)
            if ended - system_attrs.require_search_mark(self.study).start >= seconds:
                yield f"Trial {trial.number} was asked after the timeout of {seconds:g} s."

    def _iter_previous(self) -> Iterator[tuple[FrozenTrial, Sequence[FrozenTrial]]]:
        """Yield trials, each with the trials that must have ended before it was asked."""
        if self.optimizer.reuse_pods:
            for trials in self.groups.values():
                yield from ((trial, [previous]) for previous, trial in itertools.pairwise(trials))
        else:
            batches = [*self.groups.values()]
            yield from ((batch[0], previous) for previous, batch in itertools.pairwise(batches))

    def check_sampler(self, sampler: optuna.samplers.BaseSampler) -> Iterator[str]:
        """Check that the parameters are those that plain Optuna suggests."""
        study = self._study_before(copy.deepcopy(sampler))
        for trials in self.groups.values():
            replays = []
            for trial in trials:
                replays.append(replay := study.ask())
                for name, distribution in trial.distributions.items():
                    _suggest(replay, name, distribution)
                    # Of equal choices, such as 1 and True, Optuna stores the first.
                    expected = internals.trial_record(study, replay.number).params[name]
                    if repr(expected) != repr(trial.params[name]):
                        yield f"`{name}` of trial {trial.number} must be {expected!r}, but is {trial.params[name]!r}."
                        return
            for replay, trial in zip(replays, trials, strict=True):
                _tell_result(study, replay, trial)

    def _study_before(self, sampler: optuna.samplers.BaseSampler) -> optuna.Study:
        """Plain Optuna study in its state before the search."""
        trials = self.study.get_trials(deepcopy=True)[: self.trials[0].number if self.trials else None]
        study = optuna.create_study(directions=self.study.directions, sampler=sampler)
        study.add_trials(trials)
        # Grid samplers call `stop` at their last point. Optuna's own raises outside of `optimize`.
        study.stop = lambda: None  # type: ignore[method-assign]
        return study


def _suggest(trial: optuna.Trial, name: str, distribution: Any) -> None:
    if isinstance(distribution, CategoricalDistribution):
        trial.suggest_categorical(name, distribution.choices)
        return
    suggest: Any = trial.suggest_int if isinstance(distribution, IntDistribution) else trial.suggest_float
    suggest(name, distribution.low, distribution.high, step=distribution.step, log=distribution.log)


def _tell_result(study: optuna.Study, replay: optuna.Trial, trial: FrozenTrial) -> None:
    for step, value in trial.intermediate_values.items():
        internals.set_intermediate_value(study, replay, step, value)
    for key, value in trial.user_attrs.items():
        replay.set_user_attr(key, value)
    for key, value in trial.system_attrs.items():
        if key.startswith("constraints:"):
            internals.set_trial_system_attribute(study, replay, key, value)
    study.tell(replay, trial.values if trial.state == TrialState.COMPLETE else None, state=trial.state)


def _suggests(within: Any, value: Any) -> bool:
    """Test whether a suggestion or a distribution may suggest a value."""
    if not isinstance(within, (Category, CategoricalDistribution)):
        kind = float if isinstance(within, (Float, FloatDistribution)) else int
        if type(value) is not kind:
            return False
    return can_suggest(within, value)
