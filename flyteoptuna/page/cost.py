"""Time that a search took: trial time, mean concurrency and idle time of its slots."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import NamedTuple

import optuna
from optuna.trial import FrozenTrial

from flyteoptuna.study.system_attrs import find_search_mark
from flyteoptuna.trial.marks import search_number

_NAIVE_EPOCH = datetime(1970, 1, 1)
_AWARE_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class SlotRun(NamedTuple):
    """A trial in a slot; start and end in seconds from the first start, without the time between searches."""

    trial: FrozenTrial
    slot: int
    start: float
    end: float


class Cost(NamedTuple):
    """Time that the trials of a study took, and the slots in which they ran.

    Attributes:
        runs: the trials in their slots, sorted by search and start.
        wall_seconds: sum over the searches of the time from the first start to the last end.
        slots: the number of trials that the latest search could run at once, or the maximum of all if that is larger.
        concurrency: the number that its settings allow at once, of which a local run may have had fewer.
    """

    runs: list[SlotRun]
    wall_seconds: float
    slots: int
    concurrency: int

    @property
    def trial_seconds(self) -> float:
        """Sum of the trial durations."""
        return sum(run.end - run.start for run in self.runs)

    @property
    def mean_concurrency(self) -> float:
        """Mean number of trials at once."""
        return self.trial_seconds / self.wall_seconds if self.wall_seconds else float(bool(self.runs))

    @property
    def idle_seconds(self) -> float:
        """Sum of the idle time of all slots."""
        return max(self.slots * self.wall_seconds - self.trial_seconds, 0.0)


def search_cost(study: optuna.Study, trials: Sequence[FrozenTrial]) -> Cost:
    """Time that the trials with a known start and end took."""
    searches: dict[object, list[_Interval]] = {}
    for trial in trials:
        if (interval := _interval(trial)) is not None:
            searches.setdefault(search_number(trial.system_attrs), []).append(interval)
    runs: list[SlotRun] = []
    offset = 0.0
    for intervals in searches.values():
        runs += _assign_slots(intervals, offset)
        offset = max(run.end for run in runs)
    peak = 1 + max((run.slot for run in runs), default=-1)
    search = find_search_mark(study)
    concurrency, workers = (search.concurrency, search.workers) if search else (0, 0)
    return Cost(runs, offset, max(peak, workers or concurrency) if runs else 0, concurrency)


_Interval = tuple[float, float, int, FrozenTrial]


def _interval(trial: FrozenTrial) -> _Interval | None:
    """Start and end of a trial in seconds since the epoch, with its number; None if they are unknown."""
    start, end = trial.datetime_start, trial.datetime_complete
    if start is None or end is None:
        return None
    interval = epoch_seconds(start), epoch_seconds(end), trial.number, trial
    return interval if interval[0] <= interval[1] else None


def epoch_seconds(time: datetime) -> float:
    """Seconds since the epoch, so that times with and without a time zone can be compared."""
    # `datetime.timestamp` takes ten times as long, and fails for years that the platform does not support.
    return (time - (_NAIVE_EPOCH if time.tzinfo is None else _AWARE_EPOCH)).total_seconds()


def _assign_slots(intervals: list[_Interval], offset: float) -> list[SlotRun]:
    """Assign each trial of a search to the lowest free slot."""
    intervals.sort()
    first = intervals[0][0] - offset
    busy: list[tuple[float, int]] = []
    free: list[int] = []
    runs: list[SlotRun] = []
    for start, end, _, trial in intervals:
        while busy and busy[0][0] <= start:
            heapq.heappush(free, heapq.heappop(busy)[1])
        slot = heapq.heappop(free) if free else len(busy)
        heapq.heappush(busy, (end, slot))
        runs.append(SlotRun(trial, slot, start - first, end - first))
    return runs
