"""What a search cost: the time of its trials, how many ran at once, and how long its slots stood empty."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import NamedTuple

import optuna
from optuna.trial import FrozenTrial

from flyteoptuna.study.system_attrs import SEARCH_ATTRIBUTE, TRIAL_ATTRIBUTE, study_attr

_NAIVE = datetime(1970, 1, 1)
_AWARE = datetime(1970, 1, 1, tzinfo=timezone.utc)


class Run(NamedTuple):
    """A trial that ran in a slot, in seconds from the start; the time between searches is left out."""

    trial: FrozenTrial
    slot: int
    start: float
    end: float


class Cost(NamedTuple):
    """What the finished trials of a study cost.

    Attributes:
        runs: the trials, by their start.
        wall: seconds from the first trial's start to the last one's end, of each search, together.
        slots: trials that could run at once, or, where that is not known, that did.
    """

    runs: list[Run]
    wall: float
    slots: int

    @property
    def trials(self) -> float:
        """Seconds that the trials took, together."""
        return sum(run.end - run.start for run in self.runs)

    @property
    def at_once(self) -> float:
        """Trials that ran at once, on average over the wall time."""
        return self.trials / self.wall if self.wall else float(bool(self.runs))

    @property
    def waited(self) -> float:
        """Seconds that slots stood empty, together."""
        return max(self.slots * self.wall - self.trials, 0.0)


def cost(study: optuna.Study, trials: Sequence[FrozenTrial]) -> Cost:
    """What the trials of a study cost, of those that have ended and whose times are known."""
    searches: dict[object, list[_Span]] = {}
    for trial in trials:
        if (span := _span(trial)) is not None:
            searches.setdefault(trial.system_attrs.get(TRIAL_ATTRIBUTE, {}).get("search"), []).append(span)
    runs: list[Run] = []
    offset = 0.0
    for own in searches.values():
        runs += _laid_out(own, offset)
        offset = max(run.end for run in runs)
    peak = 1 + max((run.slot for run in runs), default=-1)
    concurrency = (study_attr(study, SEARCH_ATTRIBUTE) or {}).get("concurrency") or 0
    return Cost(runs, offset, max(peak, concurrency) if runs else 0)


_Span = tuple[float, float, int, FrozenTrial]


def _span(trial: FrozenTrial) -> _Span | None:
    """Start and end of a trial in seconds since the epoch, with its number; None where they are not known."""
    start, end = trial.datetime_start, trial.datetime_complete
    if start is None or end is None:
        return None
    span = seconds(start), seconds(end), trial.number, trial
    return span if span[0] <= span[1] else None


def seconds(time: datetime) -> float:
    """A time in seconds since the epoch, by which times can be compared and taken from each other."""
    # Not the times themselves, for one with a zone and one without cannot be compared; nor what the platform's clock
    # makes of them, which takes ten times as long, and knows some thousand years alone.
    return (time - (_NAIVE if time.tzinfo is None else _AWARE)).total_seconds()


def _laid_out(spans: list[_Span], offset: float) -> list[Run]:
    """The trials of a search in slots, each the lowest that is free."""
    spans.sort()
    first = spans[0][0] - offset
    busy: list[tuple[float, int]] = []
    free: list[int] = []
    runs: list[Run] = []
    for start, end, _, trial in spans:
        while busy and busy[0][0] <= start:
            heapq.heappush(free, heapq.heappop(busy)[1])
        slot = heapq.heappop(free) if free else len(busy)
        heapq.heappush(busy, (end, slot))
        runs.append(Run(trial, slot, start - first, end - first))
    return runs
