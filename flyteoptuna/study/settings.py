"""Settings of a search, serialised as JSON for its pods, and checks of settings."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flyteoptuna.values.text import safe_repr


@dataclass(frozen=True)
class SearchSettings:
    """Budgets and search space of a search.

    ``timeout`` counts seconds from the start of the search; after it no trial is asked. ``space`` holds the suggestions
    as JSON; empty if a callback makes the inputs. ``hashes`` are those of the fixed inputs of a cached objective.

    Raises:
        ValueError: a number is too small.
    """

    n_trials: int
    concurrency: int
    batch_size: int
    timeout: float | None = None
    max_failures: int | None = None
    avoid_duplicates: bool = False
    space: str = ""
    hashes: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("n_trials", "concurrency", "batch_size"):
            check_at_least(name, getattr(self, name), 1)
        for name in ("timeout", "max_failures"):
            if getattr(self, name) is not None:
                check_at_least(name, getattr(self, name), 0)

    @property
    def slots(self) -> int:
        """Maximum number of trials that can run at once."""
        return min(self.concurrency, self.batch_size, self.n_trials)

    def to_json(self) -> str:
        """Serialise the settings."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> SearchSettings:
        """Restore the settings that ``to_json`` serialised."""
        return cls(**json.loads(text))


def check_direction_count(
    name: str, directions: Sequence[Any], n_values: int, objective: str = "the objective"
) -> None:
    """Raise ``ValueError`` unless the argument ``name`` has one direction for each value of the objective."""
    if len(directions) != n_values:
        raise ValueError(
            f"`{name}` must have as many directions as the objective has values, but it has {len(directions)} and "
            f"{objective} returns {n_values}."
        )


def batch_size_warning(n_trials: int, concurrency: int, batch_size: int) -> str:
    """Text of a warning if batches are too small for the concurrency, else empty."""
    if batch_size >= min(concurrency, n_trials):
        return ""
    return (
        f"`batch_size={batch_size}` is less than `concurrency={concurrency}`: no more than {batch_size} run at once. "
        f"Choose a batch_size of {concurrency} or more, or leave it out."
    )


def check_at_least(name: str, value: float, least: int) -> None:
    """Raise ``ValueError`` if a number is smaller than allowed."""
    if not value >= least:
        raise ValueError(f"`{name} >= {least}` must hold, but got {name}={safe_repr(value)}.")
