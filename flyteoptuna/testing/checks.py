"""`check`: what must hold of the study of any search."""

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

from flyteoptuna.core import plan
from flyteoptuna.core.space import suggestions
from flyteoptuna.core.suggestions import Category, Float, Suggestion
from flyteoptuna.optimizer import Optimizer
from flyteoptuna.study import system_attrs
from flyteoptuna.study.ask import distributions
from flyteoptuna.study.stopping import MIN_TRIALS_TO_GIVE_UP
from flyteoptuna.testing.arguments import check_type

_ENDS = (optuna.samplers.GridSampler, optuna.samplers.BruteForceSampler)


def check(
    study: optuna.Study,
    optimizer: Optimizer,
    inputs: Mapping[str, Any] | None = None,
    *,
    sampler: optuna.samplers.BaseSampler | None = None,
) -> None:
    """Check that what must hold of any search does hold of the latest one of a study.

    It has ``n_trials`` trials, and fewer only where a budget, a callback or an exhausted space may have ended it; each
    was told once; no batch, or number of workers, is larger than it may be; each parameter is one that its suggestion
    may suggest; no batch was asked once a budget was spent.

    Args:
        study: the study of a search: simulated, local or in pods.
        optimizer: what it was run by, or one with the same settings, which are values and no promises.
        inputs: what it was called with; None (the default), or those of a callback, to hold parameters to the ranges
            that the trials were asked with.
        sampler: a sampler as the study's was before the search. With it, the parameters must be those that Optuna alone
            suggests, where it is asked for batches and told them. Not for reused pods, nor for ``avoid_duplicates``.

    Raises:
        AssertionError: a rule is broken; names each that is.
        TypeError: an argument is of a wrong type.
        ValueError: the study is of no search, or there is no one answer to what a sampler suggests.
    """
    check_type("study", study, optuna.Study, "a study")
    check_type("optimizer", optimizer, Optimizer, "an Optimizer")
    check_type("sampler", sampler, (optuna.samplers.BaseSampler, type(None)), "a sampler")
    if system_attrs.study_attr(study, system_attrs.SEARCH_ATTRIBUTE) is None:
        raise ValueError("`study` must be of a search, but none has been begun on it.")
    if sampler is not None and (optimizer.reuse_pods or optimizer.avoid_duplicates):
        raise ValueError("With `reuse_pods` or `avoid_duplicates` trials depend on more than the sampler.")
    rules = _Rules(study, optimizer)
    broken = [
        *rules.counts(),
        *rules.told(),
        *rules.batches(),
        *rules.ranges(dict(suggestions(inputs or {}))),
        *rules.budgets(),
        *(rules.sampled(sampler) if sampler is not None else ()),
    ]
    if broken:
        raise AssertionError("\n".join(broken))


class _Rules:
    """The rules, each of which yields what breaks it."""

    def __init__(self, study: optuna.Study, optimizer: Optimizer) -> None:
        self.study, self.optimizer = study, optimizer
        self.trials = system_attrs.own(study)
        self.failed = [t for t in self.trials if t.state == TrialState.FAIL]
        self.batch = optimizer.concurrency if optimizer.batch_size is None else optimizer.batch_size
        self.groups: dict[Any, list[FrozenTrial]] = defaultdict(list)
        for trial in self.trials:
            mark = trial.system_attrs[system_attrs.TRIAL_ATTRIBUTE]
            self.groups[mark.get("worker") if optimizer.reuse_pods else mark.get("generation")].append(trial)

    def counts(self) -> Iterator[str]:
        """As many trials as were to be run."""
        wanted, found = self.optimizer.n_trials, len(self.trials)
        if wanted is not None and (found > wanted or (found < wanted and not self._may_end())):
            yield f"The search must have {wanted} trials, but has {found}."

    def _may_end(self) -> bool:
        made = self.optimizer
        return bool(
            made.timeout is not None
            or made.callbacks
            or made.avoid_duplicates
            or isinstance(self.study.sampler, _ENDS)
            or (made.max_failures is not None and len(self.failed) > made.max_failures)
            or len(self.failed) == len(self.trials) >= MIN_TRIALS_TO_GIVE_UP
        )

    def told(self) -> Iterator[str]:
        """Each trial was told once: it has ended, with the values of its state."""
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

    def batches(self) -> Iterator[str]:
        """No batch is larger than it may be, and each but the last is as large; or as many workers as there may be."""
        if self.optimizer.reuse_pods:
            if len(self.groups) > self.optimizer.concurrency:
                yield f"There must be at most {self.optimizer.concurrency} workers, but were {len(self.groups)}."
            return
        order = [trial.system_attrs[system_attrs.TRIAL_ATTRIBUTE].get("generation") for trial in self.trials]
        sizes = Counter(order)
        if sorted(sizes) != [*range(len(sizes))] or order != sorted(order):
            yield f"The trials must be asked one generation after another, but are of {order}."
            return
        total = self.optimizer.n_trials
        for generation, size in sizes.items():
            whole = self.batch if total is None else plan.batch(generation, total, self.batch)
            last = generation == len(sizes) - 1
            if size > whole or (size < whole and not (last and self._may_end())):
                yield f"Generation {generation} must have {whole} trials, but has {size}."

    def ranges(self, space: Mapping[str, Suggestion]) -> Iterator[str]:
        """Each parameter is one that its suggestion, or its distribution, may suggest, and was asked as that says."""
        declared = distributions(space)
        for trial in self.trials:
            if "fixed_params" in trial.system_attrs:
                # An enqueued point is the user's own.
                continue
            for name, value in trial.params.items():
                if space and name not in space:
                    yield f"Trial {trial.number} has a parameter `{name}` that the space does not have."
                    continue
                asked = trial.distributions[name]
                if space and asked != declared[name]:
                    yield f"`{name}` of trial {trial.number} must be asked by {declared[name]}, but was by {asked}."
                within = space[name] if space else asked
                if not _suggests(within, value):
                    yield f"`{name}` of trial {trial.number} must be one of {within!r}, but is {value!r}."
            if space and trial.state == TrialState.COMPLETE and trial.params.keys() != space.keys():
                yield f"Trial {trial.number} must have the parameters {[*space]}, but has {[*trial.params]}."

    def budgets(self) -> Iterator[str]:
        """Nothing was asked once a budget was spent, as far as the times of the trials can tell."""
        most, timeout = self.optimizer.max_failures, self.optimizer.timeout
        room = self.optimizer.concurrency if self.optimizer.reuse_pods else self.batch
        if most is not None and len(self.failed) > most + room:
            yield f"At most {most} + {room} trials may fail with `max_failures={most}`, but {len(self.failed)} have."
        if timeout is None:
            return
        seconds = timeout.total_seconds() if hasattr(timeout, "total_seconds") else float(timeout)
        for asked, before in self._asked_after():
            ended = max((t.datetime_complete.timestamp() for t in before if t.datetime_complete), default=0.0)
            if ended - system_attrs.started(self.study) >= seconds:
                yield f"Trial {asked.number} was asked after the timeout of {seconds:g} s."

    def _asked_after(self) -> Iterator[tuple[FrozenTrial, Sequence[FrozenTrial]]]:
        """Trials with those that must have ended before they were asked."""
        if self.optimizer.reuse_pods:
            for trials in self.groups.values():
                yield from ((after, [before]) for before, after in itertools.pairwise(trials))
        else:
            batches = [*self.groups.values()]
            yield from ((after[0], before) for before, after in itertools.pairwise(batches))

    def sampled(self, sampler: optuna.samplers.BaseSampler) -> Iterator[str]:
        """The parameters are those that Optuna alone suggests."""
        plain = self._plain(copy.deepcopy(sampler))
        for trials in self.groups.values():
            asked = []
            for trial in trials:
                asked.append(mine := plain.ask())
                for name, distribution in trial.distributions.items():
                    _draw(mine, name, distribution)
                    # Of choices that are equal, as 1 and True are, Optuna keeps the first.
                    drawn = plain._storage.get_trial(mine._trial_id).params[name]
                    if repr(drawn) != repr(trial.params[name]):
                        yield f"`{name}` of trial {trial.number} must be {drawn!r}, but is {trial.params[name]!r}."
                        return
            for mine, trial in zip(asked, trials, strict=True):
                _tell(plain, mine, trial)

    def _plain(self, sampler: optuna.samplers.BaseSampler) -> optuna.Study:
        before = self.study.get_trials(deepcopy=True)[: self.trials[0].number if self.trials else None]
        # A copy with the marks that samplers have left in the study, and the trials before the search alone.
        directions = self.study.directions
        plain = optuna.create_study(directions=directions, sampler=sampler)
        plain.add_trials(before)
        plain.stop = _stays  # type: ignore[method-assign]
        return plain


def _stays() -> None:
    """Do not end where the sampler has nothing left, for the search has not either."""


def _draw(trial: optuna.Trial, name: str, distribution: Any) -> None:
    if isinstance(distribution, CategoricalDistribution):
        trial.suggest_categorical(name, distribution.choices)
        return
    suggest: Any = trial.suggest_int if isinstance(distribution, IntDistribution) else trial.suggest_float
    suggest(name, distribution.low, distribution.high, step=distribution.step, log=distribution.log)


def _tell(study: optuna.Study, mine: optuna.Trial, told: FrozenTrial) -> None:
    for step, value in told.intermediate_values.items():
        study._storage.set_trial_intermediate_value(mine._trial_id, step, value)
    for key, value in told.user_attrs.items():
        mine.set_user_attr(key, value)
    for key, value in told.system_attrs.items():
        if key.startswith("constraints:"):
            study._storage.set_trial_system_attr(mine._trial_id, key, value)
    study.tell(mine, told.values if told.state == TrialState.COMPLETE else None, state=told.state)


def _suggests(within: Any, value: Any) -> bool:
    """Whether a suggestion or a distribution may suggest a value."""
    if isinstance(within, (Category, CategoricalDistribution)):
        return any(type(choice) is type(value) and repr(choice) == repr(value) for choice in within.choices)
    kind = float if isinstance(within, (Float, FloatDistribution)) else int
    if type(value) is not kind or not within.low <= value <= within.high:
        return False
    if within.step is None:
        return True
    steps = (value - within.low) / within.step
    return bool(abs(steps - round(steps)) < 1e-6)
