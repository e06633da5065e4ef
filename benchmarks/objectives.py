"""The tasks that the benchmarks search over."""

from __future__ import annotations

import random

import flytekit as fl

from flyteoptuna import suggest
from flyteoptuna.search.batches import graph
from flyteoptuna.space import space
from flyteoptuna.study.settings import SearchSettings
from flyteoptuna.trial.report import TrialReport

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


def search() -> graph.BatchTasks:
    """A search over :func:`ten`."""
    return graph.BatchTasks(ten, ten, tuple(SPACE), (), "new", ("minimize",))


def settings(n_trials: int, batch: int) -> SearchSettings:
    """Settings of a search over :func:`ten`."""
    return SearchSettings(n_trials, batch, batch, space=space.space_to_json(SPACE))


def reports(jobs: list[tuple[int, str]]) -> list[TrialReport]:
    """What the pods of a batch send, given the number and the key of each trial."""
    start = 1.7e9
    return [TrialReport(n, key, "COMPLETE", [random.Random(n).random()], start + n, start + n + 60) for n, key in jobs]
