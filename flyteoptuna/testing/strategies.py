"""Strategies for Hypothesis: spaces, settings, what becomes of trials, and whole searches."""

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
from flyteoptuna.core import space as spaces_
from flyteoptuna.core.suggestions import Suggestion
from flyteoptuna.core.trial.current_trial import current_trial
from flyteoptuna.optimizer import Optimizer
from flyteoptuna.study.ask import draw
from flyteoptuna.testing.simulation import PodLostError, Simulation, simulate

_NAMES = st.sampled_from(["a", "b", "c", "d"])
_CHOICES = st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from([0.5, 2.5]) | st.text("xyz", max_size=2)


@st.composite
def suggestions(draw: st.DrawFn) -> Suggestion:
    """A suggestion of any kind: a float or an int, with a step, in the logarithmic domain or plain; or a category."""
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
            # Optuna would lower a bound that no step meets, and warn.
            step = draw(st.integers(1, 3))
            return suggest.integer(low, low + width // step * step, step=step)
        case 5:
            return suggest.integer(positive, positive + width, log=True)
        case _:
            return suggest.category(draw(st.lists(_CHOICES, min_size=1, max_size=4, unique_by=repr)))


def spaces(depth: int = 2) -> st.SearchStrategy[dict[str, Any]]:
    """The inputs of a search by name: suggestions, and dictionaries that hold them beside what is fixed.

    Args:
        depth: most dictionaries inside each other.
    """
    leaves = suggestions()
    inner: st.SearchStrategy[Any] = leaves
    for _ in range(depth):
        fixed = st.dictionaries(st.just("fixed"), st.integers(0, 9))
        held = st.dictionaries(_NAMES, inner, min_size=1, max_size=2)
        inner = leaves | st.tuples(held, fixed).map(lambda both: {**both[0], **both[1]})
    return st.dictionaries(_NAMES, inner, min_size=1, max_size=3)


@st.composite
def settings(draw: st.DrawFn, most: int = 20) -> dict[str, Any]:
    """The settings of an ``Optimizer`` that say how much is run: counts, and budgets or none.

    Args:
        draw: given by Hypothesis.
        most: most trials.
    """
    reuse = draw(st.booleans())
    return {
        "n_trials": draw(st.integers(1, most)),
        "concurrency": draw(st.integers(1, 5)),
        "batch_size": None if reuse else draw(st.none() | st.integers(1, 7)),
        "timeout": draw(st.none() | st.integers(0, most)),
        "max_failures": draw(st.none() | st.integers(0, 5)),
        "avoid_duplicates": draw(st.booleans()),
        "reuse_pods": reuse,
    }


class Fate(Enum):
    """What may become of a trial, other than a value."""

    FAILED = "it raises"
    NAN = "it returns NaN"
    LOST = "its pod dies"
    PRUNED = "it is pruned, after a report"
    NOTHING = "it returns None"


def outcomes() -> st.SearchStrategy[float | Fate]:
    """What becomes of a trial: a value, an infinite one too, or a :class:`Fate`."""
    values = st.floats(-100, 100) | st.sampled_from([math.inf, -math.inf])
    return values | values | st.sampled_from(Fate)


def happen(outcome: float | Fate) -> float | None:
    """Return or raise as an objective does that has this outcome."""
    match outcome:
        case Fate.FAILED:
            raise ValueError("it fails")
        case Fate.LOST:
            raise PodLostError
        case Fate.PRUNED:
            current_trial().report(0.5, step=0)
            raise optuna.TrialPruned
        case Fate.NAN:
            return math.nan
        case Fate.NOTHING:
            return None
        case _:
            return float(outcome)


@fl.task  # type: ignore[untyped-decorator]
def objective(inputs: dict) -> float:  # type: ignore[type-arg]
    """Stands for any objective."""
    return float(len(inputs))


def conditional(trial: Any, space: str) -> Any:
    """Suggest one input of a space after another, until one is even in its digits: a space that has conditions."""
    made: dict[str, Any] = {}
    for name, value in spaces_.loads(space).items():
        made[name] = spaces_.materialise(value, name, lambda path, leaf: draw(trial, path, leaf))
        if len(repr(made[name])) % 2 == 0:
            break
    return objective(inputs=made)


@dataclass(frozen=True)
class Search:
    """A whole search.

    Attributes:
        optimizer: its optimizer.
        inputs: what it is called with.
        outcomes: what becomes of its trials, one after another and from the first again.
        durations: their seconds, likewise.
        sampler: makes a sampler as the study's is before the search.
    """

    optimizer: Optimizer
    inputs: Mapping[str, Any]
    outcomes: tuple[float | Fate, ...]
    durations: tuple[float, ...]
    sampler: Callable[[], optuna.samplers.BaseSampler]

    def simulate(self) -> Simulation:
        """Simulate it."""

        def function(**inputs: Any) -> float | None:
            return happen(self.outcomes[current_trial().number % len(self.outcomes)])

        def seconds(number: int, params: Mapping[str, Any]) -> float:
            return self.durations[number % len(self.durations)]

        return simulate(self.optimizer, self.inputs, objective=function, durations=seconds)


@st.composite
def searches(draw: st.DrawFn, most: int = 20) -> Search:
    """A search with all of it drawn: nested and conditional spaces, settings, samplers, outcomes and durations.

    Args:
        draw: given by Hypothesis.
        most: most trials.
    """
    inputs, seed = draw(spaces()), draw(st.integers(0, 1000))
    kind = draw(st.sampled_from(["random", "tpe"]))

    def sampler() -> optuna.samplers.BaseSampler:
        if kind == "random":
            return optuna.samplers.RandomSampler(seed=seed)
        return optuna.samplers.TPESampler(seed=seed, n_startup_trials=3)

    branches = draw(st.booleans())
    made: Any = conditional if branches else objective
    return Search(
        Optimizer(made, sampler=sampler(), **draw(settings(most))),
        {"space": spaces_.dumps(inputs)} if branches else {"inputs": inputs},
        tuple(draw(st.lists(outcomes(), min_size=1, max_size=6))),
        tuple(draw(st.lists(st.floats(0, 5), min_size=1, max_size=4))),
        sampler,
    )
