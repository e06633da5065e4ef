"""A simulated clock: slots that run one trial at a time, and what ran in them when."""

from __future__ import annotations

import heapq
from dataclasses import dataclass


@dataclass(frozen=True)
class Ran:
    """A trial that ran.

    Attributes:
        number: the trial's number in its study.
        slot: the slot that it ran in, counted from 0.
        start: seconds from the start of the search.
        end: likewise.
    """

    number: int
    slot: int
    start: float
    end: float


class Slots:
    """Slots, each of which is free from some time on.

    Args:
        count: how many there are, at least 1.

    Attributes:
        timeline: what has been run, in the order of its start.
    """

    def __init__(self, count: int) -> None:
        self._free = [(0.0, slot) for slot in range(count)]
        self.timeline: list[Ran] = []

    @property
    def next(self) -> tuple[float, int]:
        """When the next slot is free, and which one that is."""
        return self._free[0]

    def __len__(self) -> int:
        return len(self._free)

    def run(self, number: int, seconds: float) -> Ran:
        """Run a trial in the slot that is free first."""
        start, slot = self._free[0]
        ran = Ran(number, slot, start, start + seconds)
        heapq.heapreplace(self._free, (ran.end, slot))
        self.timeline.append(ran)
        return ran

    def wait(self) -> float:
        """Wait until all slots are free, and say when that is."""
        now = max(free for free, _ in self._free)
        self._free = sorted((now, slot) for _, slot in self._free)
        return now

    def close(self) -> None:
        """Take the slot away that is free first."""
        heapq.heappop(self._free)
