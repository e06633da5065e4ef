"""Waiting: how busy batches keep the slots, against a scheduler that starts a trial whenever one ends."""

from __future__ import annotations

import random
from collections.abc import Callable
from statistics import mean
from typing import Any

from benchmarks.common import ROOT, Options, Table
from benchmarks.figure import figure
from flyteoptuna.testing.slots import Slots

FIGURE = ROOT.parent / "docs" / "waiting.svg"
CONCURRENCIES = (10, 50)
RATIOS = (1, 2, 4, 8)
ROUNDS = 64
"""Trials of a search are so many times its slots."""
DURATIONS: dict[str, Callable[[random.Random], float]] = {
    "constant": lambda rng: 1.0,
    "uniform, 0.5 to 1.5": lambda rng: rng.uniform(0.5, 1.5),
    "log-normal, \u03c3 = 1": lambda rng: rng.lognormvariate(-0.5, 1),
}
"""Durations of a trial, in units of their mean."""


def utilisation(durations: list[float], slots: int, batch: int | None) -> float:
    """Share of the slots' time in which trials run; in batches that wait for each other, or without any."""
    clock = Slots(slots)
    for index, seconds in enumerate(durations):
        if batch and index % batch == 0:
            clock.wait()
        clock.run(index, seconds)
    return sum(durations) / (slots * clock.wait())


def measure(options: Options) -> dict[str, Any]:
    """Mean utilisation, by durations, slots and batch; draws the figure."""
    seeds, cases = range(5 if options.quick else 40), []
    for slots in CONCURRENCIES:
        for name, draw in DURATIONS.items():
            drawn = []
            for seed in seeds:
                rng = random.Random(seed)
                drawn.append([draw(rng) for _ in range(ROUNDS * slots)])
            batches = {str(ratio): ratio * slots for ratio in RATIOS} | {"asynchronous": None}
            shares = {key: round(mean(utilisation(d, slots, b) for d in drawn), 4) for key, b in batches.items()}
            cases.append({"concurrency": slots, "durations": name, "utilisation": shares})
    result = {"trials_by_slot": ROUNDS, "seeds": len(seeds), "cases": cases}
    if not options.quick:
        FIGURE.write_text(figure(cases))
    return result


def tables(result: dict[str, Any]) -> list[Table]:
    """Utilisation by batch size."""
    columns = ["durations", "concurrency", *(f"batch = {r} x" for r in RATIOS), "asynchronous"]
    title = f"Slots in use, searches of {result['trials_by_slot']} trials a slot, mean of {result['seeds']} simulations"
    table = Table(title, columns)
    for case in result["cases"]:
        shares = [f"{share:.0%}" for share in case["utilisation"].values()]
        table.rows.append([case["durations"], str(case["concurrency"]), *shares])
    return [table]


def misses(result: dict[str, Any]) -> list[str]:
    """None: what waiting costs is a fact, not a mark."""
    return []
