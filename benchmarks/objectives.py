"""The tasks that the benchmarks search over."""

from __future__ import annotations

import random

import flytekit as fl

from flyteoptuna import suggest
from flyteoptuna.core import plan, space
from flyteoptuna.core.trial.report import TrialReport
from flyteoptuna.search.batches import graph

SPACE = {f"x{i}": suggest.float(low=-5, high=5) for i in range(10)}


@fl.task
def ten(
    x0: float,
    x1: float,
    x2: float,
    x3: float,
    x4: float,
    x5: float,
    x6: float,
    x7: float,
    x8: float,
    x9: float,
) -> float:
    """An objective of ten parameters."""
    return float(sum(x * x for x in (x0, x1, x2, x3, x4, x5, x6, x7, x8, x9)))


def search() -> graph.Search:
    """A search over :func:`ten`."""
    return graph.Search(ten, ten, tuple(SPACE), (), "new", ("minimize",))


def settings(n_trials: int, batch: int) -> plan.Settings:
    """Settings of a search over :func:`ten`."""
    return plan.Settings(n_trials, batch, batch, space=space.dumps(SPACE))


def reports(jobs: list[tuple[int, str]]) -> list[TrialReport]:
    """What the pods of a batch send, given the number and the key of each trial."""
    start = 1.7e9
    return [TrialReport(n, key, "COMPLETE", [random.Random(n).random()], start + n, start + n + 60) for n, key in jobs]
