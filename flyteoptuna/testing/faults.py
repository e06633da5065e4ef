"""Which pods meet a fault: said by name, by position, by a function, or by a choice that a seed makes."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from flyteoptuna.testing.arguments import check_number, check_type
from flyteoptuna.testing.pods.pod import Fault, Pod


@dataclass(frozen=True)
class Some:
    """A choice of pods that is the same for the same seed.

    Args:
        count: how many pods to choose, at least 1.
        seed: seed of the choice.
        of: part of the task's name; pods of other tasks are not counted. Default: all pods.
        among: how many pods to choose from, the first that start; at least ``count``. Default: 10, or ``count``.

    Raises:
        TypeError: an argument is of a wrong type.
        ValueError: a number is too small.
    """

    count: int
    seed: int = 0
    of: str = ""
    among: int | None = None

    def __post_init__(self) -> None:
        check_number("count", self.count, int, 1)
        check_type("seed", self.seed, int, "an int")
        check_type("of", self.of, str, "part of a task's name")
        check_type("among", self.among, (int, type(None)), "an int")
        if self.among is not None and self.among < self.count:
            raise ValueError(f"`among >= count` must hold, but got (among={self.among}, count={self.count}).")

    @property
    def positions(self) -> frozenset[int]:
        """The positions that are chosen, counted from 0."""
        among = max(10, self.count) if self.among is None else self.among
        return frozenset(random.Random(self.seed).sample(range(among), self.count))


Choice: TypeAlias = str | int | Some | Callable[[Pod], bool]
"""Pods: those whose task's name contains a string; the one at a position, counted from 0 in the order in which pods
start; those of :class:`Some`; those that a function says. A pod is one attempt."""


class _Chooser:
    """Applies one choice to the pods as they start, and knows whether it has chosen what it was to choose."""

    def __init__(self, option: str, choice: Choice) -> None:
        if isinstance(choice, bool) or not (isinstance(choice, (str, int, Some)) or callable(choice)):
            raise TypeError(
                f"`{option}` must hold names, positions, testing.Some or functions of a pod, but got {choice!r} "
                f"({type(choice).__name__})."
            )
        if isinstance(choice, int) and choice < 0:
            raise ValueError(f"A position in `{option}` is counted from 0, but got {choice}.")
        self.option, self.choice = option, choice
        self._seen = self._found = 0

    def __call__(self, pod: Pod) -> bool:
        found = self._chosen(pod)
        self._found += found
        return found

    def _chosen(self, pod: Pod) -> bool:
        choice = self.choice
        if isinstance(choice, str):
            return choice in pod.task
        if isinstance(choice, (int, Some)):
            if isinstance(choice, Some) and choice.of not in pod.task:
                return False
            position, self._seen = self._seen, self._seen + 1
            return position in choice.positions if isinstance(choice, Some) else position == choice
        return bool(choice(pod))

    def check(self, pods: Iterable[Pod]) -> None:
        """Raise where fewer pods have met the fault than were to meet it: such a test proves nothing."""
        wanted = self.choice.count if isinstance(self.choice, Some) else 1
        if self._found < wanted:
            tasks = ", ".join(dict.fromkeys(pod.task for pod in pods)) or "none"
            raise ValueError(
                f"`{self.option}={self.choice!r}` must choose {wanted} or more of the pods, but chose {self._found}. "
                f"The tasks of the pods, in the order of their first start: {tasks}."
            )


Choices: TypeAlias = Choice | Iterable[Choice]


def _choosers(option: str, choices: Choices) -> list[_Chooser]:
    many: Any = choices
    if isinstance(choices, (str, int, Some)) or callable(choices) or not isinstance(choices, Iterable):
        many = [choices]
    return [_Chooser(option, choice) for choice in many]


class Faults:
    """What pods meet in a run; see :func:`flyteoptuna.testing.run`."""

    def __init__(self, kill: Choices, drop: Choices, delay: Mapping[Choice, float] | Callable[[Pod], float]) -> None:
        self._kill, self._drop = _choosers("kill", kill), _choosers("drop", drop)
        self._delay = [(delay, _Chooser("delay", lambda pod: True))] if callable(delay) else _delays(delay)
        self._lock = threading.Lock()

    def fault(self, pod: Pod) -> Fault | None:
        """What happens to a pod."""
        with self._lock:
            # Each of them counts, whatever the others say.
            killed, dropped = ([chooser(pod) for chooser in each] for each in (self._kill, self._drop))
        if any(killed):
            return Fault.KILL
        if any(dropped):
            return Fault.LOSE if pod.index is None else Fault.DROP
        return None

    def delay(self, pod: Pod) -> float:
        """Seconds that a pod waits before its work."""
        with self._lock:
            found = [seconds for seconds, chooser in self._delay if chooser(pod)]
        return max([float(seconds(pod)) if callable(seconds) else float(seconds) for seconds in found], default=0.0)

    def check(self, pods: Iterable[Pod]) -> None:
        """Raise where a choice has not chosen what it was to choose."""
        for chooser in (*self._kill, *self._drop, *(chooser for _, chooser in self._delay)):
            chooser.check(pods)


def _delays(delay: Mapping[Choice, float]) -> list[tuple[float | Callable[[Pod], float], _Chooser]]:
    if not isinstance(delay, Mapping):
        raise TypeError(f"`delay` must be a dictionary of seconds, or a function of a pod, but got {delay!r}.")
    for seconds in delay.values():
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds < float("inf"):
            raise ValueError(f"A `delay` must be 0 or more seconds, but got {seconds!r}.")
    return [(seconds, _Chooser("delay", choice)) for choice, seconds in delay.items()]
