"""Hypothesis strategies for suggestions, spaces, settings, outcomes of trials, and whole searches."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import flytekit as fl
import optuna
from hypothesis import strategies as st

from flyteoptuna import suggest
from flyteoptuna.optimizer import Optimizer
from flyteoptuna.space.space import space_from_json, space_to_json, substitute_suggestions
from flyteoptuna.space.suggestions import Suggestion
from flyteoptuna.study.ask import draw_value
from flyteoptuna.testing.simulation import PodLostError, Simulation, simulate
from flyteoptuna.trial.current_trial import current_trial

_NAMES = st.sampled_from(["a", "b", "c", "d"])
_CHOICES = st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from([0.5, 2.5]) | st.text("xyz", max_size=2)


@st.composite
def suggestions(draw: st.DrawFn) -> Suggestion:
    """A suggestion of any kind: a float or an int, plain, with a step or logarithmic; or a category."""
    kind, low, width = draw(st.integers(0, 6)), draw(st.integers(-50, 50)), draw(st.integers(0, 50))
    positive = abs(low) + 1
    match kind:
        case 0:
            return suggest.float(low / 2, low / 2 + width)
        case 1:
            return suggest.float(low, low + width, step=draw(st.sampled_from([0.25, 0.5, 1.0])))
        case 2:
            return suggest.float(positive / 8, positive / 8 + width, log=True)
        case 3:
            return suggest.integer(low, low + width)
        case 4:
            # Optuna would lower a bound that is no multiple of the step, and warn.
            step = draw(st.integers(1, 3))
            return suggest.integer(low, low + width // step * step, step=step)
        case 5:
            return suggest.integer(positive, positive + width, log=True)
        case _:
            return suggest.category(draw(st.lists(_CHOICES, min_size=1, max_size=4, unique_by=repr)))


def spaces(depth: int = 2) -> st.SearchStrategy[dict[str, Any]]:
    """Inputs of a search by name: suggestions, and dictionaries of suggestions and fixed values.

    Args:
        depth: maximum nesting depth of dictionaries.
    """
    leaves = suggestions()
    inner: st.SearchStrategy[Any] = leaves
    for _ in range(depth):
        fixed = st.dictionaries(st.just("fixed"), st.integers(0, 9))
        nested = st.dictionaries(_NAMES, inner, min_size=1, max_size=2)
        inner = leaves | st.tuples(nested, fixed).map(lambda both: {**both[0], **both[1]})
    return st.dictionaries(_NAMES, inner, min_size=1, max_size=3)


@st.composite
def settings(draw: st.DrawFn, max_trials: int = 20) -> dict[str, Any]:
    """Numbers of trials, batch sizes and budgets of an ``Optimizer``, as its arguments by name.

    Args:
        draw: provided by Hypothesis.
        max_trials: maximum of ``n_trials``.
    """
    reuse_pods = draw(st.booleans())
    return {
        "n_trials": draw(st.integers(1, max_trials)),
        "concurrency": draw(st.integers(1, 5)),
        "batch_size": None if reuse_pods else draw(st.none() | st.integers(1, 7)),
        "timeout": draw(st.none() | st.integers(0, max_trials)),
        "max_failures": draw(st.none() | st.integers(0, 5)),
        "avoid_duplicates": draw(st.booleans()),
        "reuse_pods": reuse_pods,
    }


class Outcome(Enum):
    """Outcome of a trial other than a value."""

    FAILED = "it raises"
    NAN = "it returns NaN"
    LOST = "its pod dies"
    PRUNED = "it is pruned, after a report"
    NOTHING = "it returns None"


def outcomes() -> st.SearchStrategy[float | Outcome]:
    """An outcome of a trial: a value, which may be infinite, or an ``Outcome``."""
    values = st.floats(-100, 100) | st.sampled_from([math.inf, -math.inf])
    return values | values | st.sampled_from(Outcome)


def apply_outcome(outcome: float | Outcome) -> float | None:
    """Return or raise in an objective so that its trial has the outcome.

    Args:
        outcome: the outcome, as ``outcomes`` draws it.

    Returns:
        The objective's return value.

    Raises:
        ValueError: the outcome is ``FAILED``.
        PodLostError: the outcome is ``LOST``.
        TrialPruned: the outcome is ``PRUNED``.
    """
    match outcome:
        case Outcome.FAILED:
            raise ValueError("it fails")
        case Outcome.LOST:
            raise PodLostError
        case Outcome.PRUNED:
            current_trial().report(0.5, step=0)
            raise optuna.TrialPruned
        case Outcome.NAN:
            return math.nan
        case Outcome.NOTHING:
            return None
        case _:
            return float(outcome)


@fl.task  # type: ignore[untyped-decorator]
def objective(inputs: dict) -> float:  # type: ignore[type-arg]
    """Stand in for an objective."""
    return float(len(inputs))


def conditional(trial: Any, space: str) -> Any:
    """Callback with a conditional space: suggest inputs up to the first whose ``repr`` has an even length.

    Args:
        trial: the trial.
        space: the inputs as JSON.
    """
    inputs: dict[str, Any] = {}
    for name, value in space_from_json(space).items():
        inputs[name] = substitute_suggestions(value, name, lambda path, leaf: draw_value(trial, path, leaf))
        if len(repr(inputs[name])) % 2 == 0:
            break
    return objective(inputs=inputs)


@dataclass(frozen=True)
class Search:
    """Whole search with the outcomes and durations of its trials.

    Attributes:
        optimizer: its optimizer.
        inputs: the inputs of the optimizer's call.
        outcomes: outcomes of the trials by number, repeated cyclically.
        durations: durations of the trials by number, repeated cyclically, seconds.
        sampler: returns a sampler in the state of the study's before the search.
    """

    optimizer: Optimizer
    inputs: Mapping[str, Any]
    outcomes: tuple[float | Outcome, ...]
    durations: tuple[float, ...]
    sampler: Callable[[], optuna.samplers.BaseSampler]

    def simulate(self) -> Simulation:
        """Simulate the search."""

        def evaluate(**inputs: Any) -> float | None:
            return apply_outcome(self.outcomes[current_trial().number % len(self.outcomes)])

        def duration(number: int, params: Mapping[str, Any]) -> float:
            return self.durations[number % len(self.durations)]

        return simulate(self.optimizer, self.inputs, objective=evaluate, durations=duration)


@st.composite
def searches(draw: st.DrawFn, max_trials: int = 20) -> Search:
    """A search with a nested or conditional space, settings, a sampler, outcomes and durations.

    Args:
        draw: provided by Hypothesis.
        max_trials: maximum of ``n_trials``.
    """
    inputs, seed = draw(spaces()), draw(st.integers(0, 1000))
    sampler_name = draw(st.sampled_from(["random", "tpe"]))

    def sampler() -> optuna.samplers.BaseSampler:
        if sampler_name == "random":
            return optuna.samplers.RandomSampler(seed=seed)
        return optuna.samplers.TPESampler(seed=seed, n_startup_trials=3)

    is_conditional = draw(st.booleans())
    objective_or_callback: Any = conditional if is_conditional else objective
    return Search(
        Optimizer(objective_or_callback, sampler=sampler(), **draw(settings(max_trials))),
        {"space": space_to_json(inputs)} if is_conditional else {"inputs": inputs},
        tuple(draw(st.lists(outcomes(), min_size=1, max_size=6))),
        tuple(draw(st.lists(st.floats(0, 5), min_size=1, max_size=4))),
        sampler,
    )
