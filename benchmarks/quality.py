"""Search quality: the best value after 200 trials, by sampler and by how trials are asked.

Each search is a line of ``quality.jsonl``, and searches that are in it are not run again: delete it when a sampler has
changed. ``QUALITY_MINUTES`` bounds a run; the next goes on where it ended. Searches are in the order of their seeds.
"""

from __future__ import annotations

import json
import os
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from typing import Any, NamedTuple

import flytekit as fl
import numpy as np
import optuna
from optuna.samplers import BaseSampler, CmaEsSampler, RandomSampler, TPESampler
from scipy.stats import binomtest

from benchmarks.common import ROOT, Options, Table
from benchmarks.problems import BBOB_GROUPS, Problem, all_problems
from flyteoptuna import BatchSampler, Optimizer, testing

TRIALS, LEVEL, FLOOR = 200, 0.05, 1e-8
KEPT = ROOT / "quality.jsonl"
# Searches from which on a row of a table says something.
FEWEST = 5
OURS, BEFORE, RANDOM = "BatchSampler", "TPE, constant liar", "random"


def _tpe(batch: int, seed: int) -> BaseSampler:
    """The default of this library before BatchSampler."""
    return TPESampler(seed=seed, constant_liar=True, multivariate=batch < 20)


SAMPLERS: dict[str, Callable[[int, int], BaseSampler]] = {
    OURS: lambda batch, seed: BatchSampler(seed),
    BEFORE: _tpe,
    RANDOM: lambda batch, seed: RandomSampler(seed=seed),
    "Optuna's TPE": lambda batch, seed: TPESampler(seed=seed),
    "CMA-ES": lambda batch, seed: CmaEsSampler(seed=seed, popsize=batch if batch > 4 else None),
    "GPSampler": lambda batch, seed: optuna.samplers.GPSampler(seed=seed),
}


class Search(NamedTuple):
    """One search.

    Attributes:
        batch: trials that are asked before the first of them is told.
        asynchronous: one is asked when one has ended, instead of all at once.
    """

    problem: str
    sampler: str
    batch: int
    asynchronous: bool
    seed: int


# Combinations of sampler, batch and asynchronous, the most informative first.
COMBINATIONS = [
    *((sampler, 50, False) for sampler in (OURS, BEFORE)),
    (BEFORE, 1, False),
    (RANDOM, 1, False),
    *((sampler, batch, kind) for batch, kind in ((10, False), (50, True), (10, True)) for sampler in (OURS, BEFORE)),
    (OURS, 1, False),
    *((sampler, batch, False) for sampler in ("Optuna's TPE", "CMA-ES") for batch in (50, 10, 1)),
    *(("GPSampler", batch, False) for batch in (50, 10) if find_spec("torch")),
]


# The present search's function, because a callback stands at the top of a module.
_OBSERVE: list[Callable[[optuna.Trial], float]] = []


@fl.task
def observed(value: float) -> float:
    """The value that the callback has observed."""
    return value


def observe_first(trial: optuna.Trial) -> Any:
    """Observe when asking: a simulation takes no time."""
    return observed(value=_OBSERVE[-1](trial))


def run_search(search: Search, problem: Problem) -> dict[str, Any]:
    """Run a search; returns the true value of its best trial, and its time of CPU in seconds."""
    evaluate, true = problem.make(search.seed), {}

    def observe(trial: optuna.Trial) -> float:
        value, true[trial.number] = evaluate(trial)
        return value

    start = time.process_time()
    sampler = SAMPLERS[search.sampler](search.batch, search.seed)
    if search.asynchronous:
        _OBSERVE[:] = [observe]
        optimizer = Optimizer(observe_first, search.batch, TRIALS, sampler=sampler, reuse_pods=True)
        durations = np.random.default_rng(search.seed).lognormal(0, 0.5, 2 * TRIALS).tolist()
        study = testing.simulate(optimizer, {}, objective=lambda value: value, durations=durations).study
    else:
        study = optuna.create_study(sampler=sampler)
        for first in range(0, TRIALS, search.batch):
            asked = [study.ask() for _ in range(min(search.batch, TRIALS - first))]
            values = [observe(trial) for trial in asked]
            for trial, value in zip(asked, values, strict=True):
                study.tell(trial, value)
    return {"best": true[study.best_trial.number], "cpu": round(time.process_time() - start, 2)}


def _searches(seeds: int) -> Iterator[Search]:
    """All searches, seed by seed, so that a run that ends early is balanced."""
    for seed in range(seeds):
        for sampler, batch, asynchronous in COMBINATIONS:
            for problem in all_problems():
                yield Search(problem, sampler, batch, asynchronous, seed)


def measure(options: Options) -> dict[str, Any]:
    """Run searches; their results are in ``KEPT``, and their number is returned."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    problems, kept = all_problems(), _kept()
    end = time.monotonic() + 60 * float(os.environ.get("QUALITY_MINUTES", "2" if options.quick else "inf"))
    for search in _searches(1 if options.quick else 5):
        if search not in kept and time.monotonic() < end:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                kept[search] = run_search(search, problems[search.problem])
            with KEPT.open("a") as file:
                file.write(json.dumps([search, kept[search]]) + "\n")
    return {"trials": TRIALS, "searches": len(kept)}


def _kept() -> dict[Search, dict[str, Any]]:
    lines = KEPT.read_text().splitlines() if KEPT.exists() else []
    return {Search(*key): row for key, row in map(json.loads, lines)}


class _Rows:
    """Results of all searches."""

    def __init__(self) -> None:
        self.problems = all_problems()
        self.best: dict[tuple[str, str, int, bool], dict[int, float]] = defaultdict(dict)
        self.cpu: dict[tuple[str, int, bool], list[float]] = defaultdict(list)
        for search, row in _kept().items():
            self.best[search[:4]][search.seed] = row["best"]
            self.cpu[search[1:4]].append(row["cpu"])

    def kinds(self, *, without: Sequence[str] = ()) -> list[tuple[str, int, bool]]:
        """Combinations that were run."""
        return [kind for kind in COMBINATIONS if kind in self.cpu and kind[0] not in without]

    def pairs(self, a: tuple[str, int, bool], b: tuple[str, int, bool], group: str) -> list[tuple[float, float]]:
        """Best values of two combinations on the same problem and seed."""
        return [
            (self.best[(name, *a)][seed], self.best[(name, *b)][seed])
            for name, problem in self.problems.items()
            if problem.group == group
            for seed in sorted(self.best[(name, *a)].keys() & self.best[(name, *b)].keys())
        ]


def _share_lost(rows: _Rows, kind: tuple[str, int, bool]) -> tuple[float, float, float, int]:
    """Share of the gain over random search lost against TPE one by one; its 95 % interval; and the pairs."""
    gains = defaultdict(list)
    for name, problem in rows.problems.items():
        if problem.group not in BBOB_GROUPS.values():
            continue
        found = [rows.best[(name, *k)] for k in (kind, (BEFORE, 1, False), (RANDOM, 1, False))]
        for seed in sorted(found[0].keys() & found[1].keys() & found[2].keys()):
            ours, alone, random = (np.log10(max(best[seed], FLOOR)) for best in found)
            gains[name].append((random - ours, random - alone))
    if not gains:
        return (float("nan"),) * 3 + (0,)
    rng, cells = np.random.default_rng(0), [np.array(pairs) for pairs in gains.values()]

    def share(chosen: list[Any]) -> float:
        ours, alone = np.mean([np.median(cell, axis=0) for cell in chosen], axis=0)
        return float(1 - ours / alone)

    def resampled() -> list[Any]:
        chosen = [cells[i] for i in rng.integers(len(cells), size=len(cells))]
        return [cell[rng.integers(len(cell), size=len(cell))] for cell in chosen]

    low, high = np.percentile([share(resampled()) for _ in range(400)], [2.5, 97.5])
    return share(cells), float(low), float(high), sum(map(len, cells))


def _kind_text(batch: int, asynchronous: bool) -> str:
    return f"{batch}, asynchronous" if asynchronous else str(batch)


def _verdicts(rows: _Rows) -> Iterator[tuple[str, tuple[str, int, bool], int, int, float]]:
    """Searches of a group that our sampler won and lost against TPE asked alike, and the p of a two-sided sign test."""
    for group in dict.fromkeys(problem.group for problem in rows.problems.values()):
        for kind in rows.kinds():
            if kind[0] != OURS:
                continue
            pairs = rows.pairs(kind, (BEFORE, *kind[1:]), group)
            won, lost = sum(a < b for a, b in pairs), sum(a > b for a, b in pairs)
            if won + lost >= FEWEST:
                yield group, kind, won, lost, float(binomtest(won, won + lost).pvalue)


def tables(result: dict[str, Any]) -> list[Table]:
    """The share lost on BBOB; wins and losses by group; medians of the other problems."""
    rows = _Rows()
    lost = Table(
        f"BBOB: share of the gain of TPE one by one over random search that is lost, {result['trials']} trials",
        ["sampler", "asked at once", "share lost", "95 % interval", "searches", "CPU of one, seconds"],
    )
    for kind in rows.kinds(without=[RANDOM]):
        share, low, high, n = _share_lost(rows, kind)
        if n >= FEWEST:
            cpu = f"{np.median(rows.cpu[kind]):.1f}"
            cells = [f"{share:.0%}", f"{low:.0%} to {high:.0%}", str(n), cpu]
            lost.rows.append([kind[0], _kind_text(*kind[1:]), *cells])
    groups = Table(
        "BatchSampler against TPE asked alike, by group: searches won and lost, same problem and seed",
        ["group", "asked at once", "won", "lost", "p", ""],
    )
    for group, kind, won, worse, p in _verdicts(rows):
        verdict = "no difference shown" if p >= LEVEL else "better" if won > worse else "**worse**"
        groups.rows.append([group, _kind_text(*kind[1:]), str(won), str(worse), f"{p:.3f}", verdict])
    medians = Table(
        "Other problems: median of the best values; less is better",
        ["problem", "asked at once", "seeds", OURS, BEFORE],
    )
    for name, problem in rows.problems.items():
        for kind in rows.kinds():
            ours, before = rows.best[(name, *kind)], rows.best[(name, BEFORE, *kind[1:])]
            if kind[0] == OURS and problem.group not in BBOB_GROUPS.values() and (seeds := ours.keys() & before.keys()):
                values = [f"{np.median([of[seed] for seed in seeds]):.4g}" for of in (ours, before)]
                medians.rows.append([name, _kind_text(*kind[1:]), str(len(seeds)), *values])
    return [table for table in (lost, groups, medians) if table.rows]


def misses(result: dict[str, Any]) -> list[str]:
    """Marks that are missed: groups that are worse, shares that are lost."""
    rows = _Rows()
    found = [
        f"{group}, {_kind_text(*kind[1:])} at once: worse than TPE ({won} won, {lost} lost, p={p:.3f})"
        for group, kind, won, lost, p in _verdicts(rows)
        if p < LEVEL and lost > won
    ]
    for batch, mark in ((50, 0.1), (10, -0.3)):
        share, _, high, n = _share_lost(rows, (OURS, batch, False))
        if n >= FEWEST and (high >= mark if batch == 50 else share > mark):
            found.append(f"batches of {batch}: {share:.0%} lost, upper end {high:.0%}")
    return found
