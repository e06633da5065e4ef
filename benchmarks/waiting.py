"""Waiting: how long a search takes, by its kind, against one whose slots are always full and cost nothing."""

from __future__ import annotations

import functools
import heapq
import math
import random
from collections.abc import Callable, Iterable, Sequence
from statistics import mean
from typing import Any

import flytekit as fl
import optuna

from benchmarks.common import ROOT, Options, Table, child, seconds
from benchmarks.figure import figure
from flyteoptuna import Optimizer, suggest, testing
from flyteoptuna.search import plan
from flyteoptuna.testing.slots import SimulatedSlots

FIGURE = ROOT.parent / "docs" / "waiting.svg"
TRIALS, MEAN = 200, 60.0
"""Trials of a search, and the mean of their durations in seconds."""
SLOTS = (10, 50)
START_UPS = (0, 5, 30)
"""Seconds from when a pod is wanted to when its code runs."""
ENGINE = 3.2
"""Seconds of Flyte beyond the pods of a generation: 3.8 to 4.2 with a dynamic each, 0.5 to 1.1 less without."""
TOLD = 0.1
"""Seconds that a worker asks and tells a trial, in a journal on a store that takes 20 ms a request."""
LAUNCH, POLL = 1.0, 2.0
"""The eager driver launches at most one trial in a second, and looks for those that have ended every two."""
DURATIONS: dict[str, Callable[[random.Random], float]] = {
    "constant": lambda rng: 1.0,
    "uniform, 0.5 to 1.5": lambda rng: rng.uniform(0.5, 1.5),
    "log-normal, \u03c3 = 1": lambda rng: rng.lognormvariate(-0.5, 1),
}
"""Durations of a trial, in units of their mean."""
LOCAL_TRIALS, LOCAL_SLOTS = 24, 4


@fl.task
def objective(x: float) -> float:
    """A trial whose value says nothing: what it takes is simulated."""
    return x


def makespan(durations: Iterable[float], slots: int) -> float:
    """The ideal: the time until all trials have ended, each started, in order, as soon as a slot is free."""
    clock = SimulatedSlots(slots)
    for number, duration in enumerate(durations):
        clock.run(number, duration)
    return clock.wait()


@functools.cache
def searched(durations: tuple[float, ...], slots: int, **settings: Any) -> float:
    """The time of a whole search that is simulated: from its first trial until its last one has ended."""
    sampler = optuna.samplers.RandomSampler(seed=0)
    optimizer = Optimizer(objective, slots, len(durations), sampler=sampler, **settings)
    return testing.simulate(optimizer, {"x": suggest.float(0, 1)}, durations=durations).makespan


def batches(durations: Sequence[float], slots: int, start_up: float, ratio: int) -> float:
    """In batches of so many times the slots: the pods that run no trial start one after another."""
    shape = plan.search_shape(len(durations), ratio * slots)
    beside = shape.drivers * start_up + shape.generations * ENGINE
    return beside + searched(tuple(start_up + d for d in durations), slots, batch_size=ratio * slots)


def eager(durations: Sequence[float], slots: int, start_up: float) -> float:
    """The eager plugin: a pod for each trial, launched and found to have ended by a driver."""
    free, last = [start_up] * slots, start_up - LAUNCH
    for duration in durations:
        last = max(free[0], last + LAUNCH)
        heapq.heapreplace(free, math.ceil((last + start_up + duration) / POLL) * POLL)
    return max(free)


def reused(durations: Sequence[float], slots: int, start_up: float) -> float:
    """Reused pods: search, workers and finish start, and a trial costs what asking and telling it does."""
    return 3 * start_up + ENGINE + searched(tuple(d + TOLD for d in durations), slots, reuse_pods=True)


KINDS: dict[str, Callable[[Sequence[float], int, float], float]] = {
    "batches, 1 x": lambda durations, slots, start_up: batches(durations, slots, start_up, 1),
    "batches, 4 x": lambda durations, slots, start_up: batches(durations, slots, start_up, 4),
    "eager plugin": eager,
    "reuse_pods": reused,
}


def _drawn(draw: Callable[[random.Random], float], seed: int) -> list[float]:
    rng = random.Random(seed)
    return [MEAN * draw(rng) for _ in range(TRIALS)]


def measure(options: Options) -> dict[str, Any]:
    """Mean multiple of the ideal, and of the slots' time, by slots, start-up, durations and kind; draws the figure."""
    seeds, cases = range(2 if options.quick else 40), []
    for slots in SLOTS:
        for start_up in START_UPS:
            for name, draw in DURATIONS.items():
                searches = [_drawn(draw, seed) for seed in seeds]
                times, used = {}, {}
                for kind, run in KINDS.items():
                    taken = [run(durations, slots, start_up) for durations in searches]
                    pairs = list(zip(taken, searches, strict=True))
                    times[kind] = round(mean(t / makespan(d, slots) for t, d in pairs), 3)
                    used[kind] = round(mean(sum(d) / (slots * t) for t, d in pairs), 4)
                cases.append(
                    {"slots": slots, "start_up": start_up, "durations": name, "times": times, "utilisation": used}
                )
    result = {"trials": TRIALS, "mean": MEAN, "seeds": len(seeds), "cases": cases, "local": _local(options)}
    if not options.quick:
        FIGURE.write_text(figure(cases, f"Simulated: {TRIALS} trials of {MEAN:g} s in the mean."))
    return result


def _local(options: Options) -> dict[str, Any]:
    """A real run here, of trials that sleep, by turns; seconds of each kind, and of the ideal."""
    runs: dict[str, list[float]] = {"batches, 1 x": [], "batches, 4 x": [], "reuse_pods": []}
    ideal = 0.0
    for _ in range(1 if options.quick else 3):
        for kind, found in runs.items():
            environment = {"FLYTEOPTUNA_LOCAL_WORKERS": str(LOCAL_SLOTS), "FLYTE_SDK_LOGGING_LEVEL": "40"}
            ran = child("local_waiting.py", str(LOCAL_TRIALS), str(LOCAL_SLOTS), kind, **environment)
            found.append(ran["seconds"])
            ideal = makespan(ran["durations"], LOCAL_SLOTS)
    return {"trials": LOCAL_TRIALS, "slots": LOCAL_SLOTS, "ideal": ideal, "runs": runs}


def tables(result: dict[str, Any]) -> list[Table]:
    """Multiples of the ideal and slots in use, and the real run."""
    title = f"Time of a search as a multiple of the ideal (slots in use): {result['trials']} trials of "
    title += f"{result['mean']:g} s in the mean, mean of {result['seeds']} simulations"
    table = Table(title, ["durations", "slots", "start-up", *KINDS])
    for case in result["cases"]:
        cells = [f"{case['times'][kind]:.2f} ({case['utilisation'][kind]:.0%})" for kind in KINDS]
        table.rows.append([case["durations"], str(case["slots"]), f"{case['start_up']} s", *cells])
    if not (local := result.get("local")):
        return [table]
    title = f"A local run of {local['trials']} trials that sleep, log-normal, in {local['slots']} worker processes"
    real = Table(title, ["", "least", "of the ideal", "reuse_pods = 1"])
    least = {kind: min(found) for kind, found in local["runs"].items()}
    for kind, taken in least.items():
        ratios = [f"{taken / local['ideal']:.2f}", f"{taken / least['reuse_pods']:.2f}"]
        real.rows.append([kind, seconds(taken), *ratios])
    real.notes.append("With the start of the worker processes.")
    return [table, real]


def misses(result: dict[str, Any]) -> list[str]:
    """None: what waiting costs is a fact, not a mark."""
    return []
