"""Choose the pods that a fault applies to: by task name, position, function or at random."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from flyteoptuna.testing.arguments import check_number, check_type
from flyteoptuna.testing.pods.pod import Fault, Pod


@dataclass(frozen=True)
class RandomPods:
    """Random choice of pods that is reproducible by its seed.

    Args:
        count: number of pods to choose, at least 1.
        seed: seed of the choice.
        of: part of the task's name. Pods of other tasks are not counted. Default: all pods.
        among: number of pods to choose from, which are the first to start; at least ``count``. Default: the larger of
            10 and ``count``.

    Raises:
        TypeError: an argument has a wrong type.
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
        """Chosen positions, counted from 0."""
        among = max(10, self.count) if self.among is None else self.among
        return frozenset(random.Random(self.seed).sample(range(among), self.count))


# Choice of pods: a part of the task's name; a position, counted from 0 in the order of the pods' start; a `RandomPods`;
# or a function that returns whether to choose a pod. A pod is one attempt of a task.
PodChoice: TypeAlias = str | int | RandomPods | Callable[[Pod], bool]


class _Chooser:
    """Application of one choice to the pods in the order of their start."""

    def __init__(self, option: str, choice: PodChoice) -> None:
        if isinstance(choice, bool) or not (isinstance(choice, (str, int, RandomPods)) or callable(choice)):
            raise TypeError(
                f"`{option}` must hold names, positions, testing.RandomPods or functions of a pod, but got {choice!r} "
                f"({type(choice).__name__})."
            )
        if isinstance(choice, int) and choice < 0:
            raise ValueError(f"A position in `{option}` is counted from 0, but got {choice}.")
        self.option, self.choice = option, choice
        self._n_counted = self._n_chosen = 0

    def __call__(self, pod: Pod) -> bool:
        is_chosen = self._is_chosen(pod)
        self._n_chosen += is_chosen
        return is_chosen

    def _is_chosen(self, pod: Pod) -> bool:
        choice = self.choice
        if isinstance(choice, str):
            return choice in pod.task
        if isinstance(choice, (int, RandomPods)):
            if isinstance(choice, RandomPods) and choice.of not in pod.task:
                return False
            position, self._n_counted = self._n_counted, self._n_counted + 1
            return position in choice.positions if isinstance(choice, RandomPods) else position == choice
        return bool(choice(pod))

    def check(self, pods: Iterable[Pod]) -> None:
        """Raise if too few pods were chosen, because such a test proves nothing."""
        minimum = self.choice.count if isinstance(self.choice, RandomPods) else 1
        if self._n_chosen < minimum:
            tasks = ", ".join(dict.fromkeys(pod.task for pod in pods)) or "none"
            raise ValueError(
                f"`{self.option}={self.choice!r}` must choose {minimum} or more of the pods, "
                f"but chose {self._n_chosen}. "
                f"The tasks of the pods, in the order of their first start: {tasks}."
            )


PodChoices: TypeAlias = PodChoice | Iterable[PodChoice]


def _choosers(option: str, choices: PodChoices) -> list[_Chooser]:
    choice_list: Any = choices
    if isinstance(choices, (str, int, RandomPods)) or callable(choices) or not isinstance(choices, Iterable):
        choice_list = [choices]
    return [_Chooser(option, choice) for choice in choice_list]


class Faults:
    """Faults and delays of the pods of a run, as ``testing.run`` takes them."""

    def __init__(
        self, kill: PodChoices, drop: PodChoices, delay: Mapping[PodChoice, float] | Callable[[Pod], float]
    ) -> None:
        self._kill, self._drop = _choosers("kill", kill), _choosers("drop", drop)
        self._delay = [(delay, _Chooser("delay", lambda pod: True))] if callable(delay) else _delay_choosers(delay)
        self._lock = threading.Lock()

    def fault(self, pod: Pod) -> Fault | None:
        """Return the fault of a pod; None if it has none."""
        with self._lock:
            # Every chooser must see every pod to count positions.
            killed, dropped = ([chooser(pod) for chooser in choosers] for choosers in (self._kill, self._drop))
        if any(killed):
            return Fault.KILL
        if any(dropped):
            return Fault.LOSE if pod.index is None else Fault.DROP
        return None

    def delay(self, pod: Pod) -> float:
        """Return the delay of a pod's work, seconds: the longest that applies."""
        with self._lock:
            delays = [seconds for seconds, chooser in self._delay if chooser(pod)]
        return max([float(seconds(pod)) if callable(seconds) else float(seconds) for seconds in delays], default=0.0)

    def check(self, pods: Iterable[Pod]) -> None:
        """Raise if a choice chose too few pods."""
        for chooser in (*self._kill, *self._drop, *(chooser for _, chooser in self._delay)):
            chooser.check(pods)


def _delay_choosers(delay: Mapping[PodChoice, float]) -> list[tuple[float | Callable[[Pod], float], _Chooser]]:
    if not isinstance(delay, Mapping):
        raise TypeError(f"`delay` must be a dictionary of seconds, or a function of a pod, but got {delay!r}.")
    for seconds in delay.values():
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds < float("inf"):
            raise ValueError(f"A `delay` must be 0 or more seconds, but got {seconds!r}.")
    return [(seconds, _Chooser("delay", choice)) for choice, seconds in delay.items()]
