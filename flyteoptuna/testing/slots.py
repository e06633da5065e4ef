"""A simulated clock: slots that run one trial at a time, and the times of what they ran."""

from __future__ import annotations

import heapq
from dataclasses import dataclass


@dataclass(frozen=True)
class TrialRun:
    """One run of a trial.

    Attributes:
        number: number of the trial in its study.
        slot: the slot, counted from 0.
        start: seconds from the start of the search.
        end: seconds from the start of the search.
    """

    number: int
    slot: int
    start: float
    end: float


class SimulatedSlots:
    """Slots, each of which becomes free at a known time.

    Args:
        count: number of slots; at least 1.

    Attributes:
        timeline: runs, in the order of their starts.
    """

    def __init__(self, count: int) -> None:
        self._free = [(0.0, slot) for slot in range(count)]
        self.timeline: list[TrialRun] = []

    @property
    def next(self) -> tuple[float, int]:
        """The slot that becomes free first, after the time at which it does."""
        return self._free[0]

    def __len__(self) -> int:
        return len(self._free)

    def run(self, number: int, seconds: float) -> TrialRun:
        """Run a trial in the slot that becomes free first."""
        start, slot = self._free[0]
        trial_run = TrialRun(number, slot, start, start + seconds)
        heapq.heapreplace(self._free, (trial_run.end, slot))
        self.timeline.append(trial_run)
        return trial_run

    def wait(self) -> float:
        """Advance all slots to the time when the last one is free; return it, seconds from the start of the search."""
        now = max(free for free, _ in self._free)
        self._free = sorted((now, slot) for _, slot in self._free)
        return now

    def close(self) -> None:
        """Remove the slot that becomes free first."""
        heapq.heappop(self._free)
