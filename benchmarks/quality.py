"""Search quality: the best value after 200 trials, this library's default against Optuna's, in the same batches."""

from __future__ import annotations

import multiprocessing
import statistics
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import optuna
from scipy.stats import mannwhitneyu

from benchmarks.common import Options, Table
from benchmarks.functions import FUNCTIONS
from flyteoptuna.study import samplers

TRIALS = 200
BATCHES = (1, 10, 50)
LEVEL = 0.05


def _optuna(batch: int, seed: int) -> optuna.Study:
    return optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))


DEFAULTS: dict[str, Callable[[int, int], optuna.Study]] = {
    "flyteoptuna": samplers.create_default_study,
    "optuna": _optuna,
}


def best(job: tuple[str, str, int, int]) -> float:
    """The best value of one search: each batch is asked whole, and then told whole."""
    who, function, batch, seed = job
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study = DEFAULTS[who](batch, seed)
        for start in range(0, TRIALS, batch):
            asked = [study.ask() for _ in range(min(batch, TRIALS - start))]
            values = [FUNCTIONS[function](trial) for trial in asked]
            for trial, value in zip(asked, values, strict=True):
                study.tell(trial, value)
    return study.best_value


def measure(options: Options) -> dict[str, Any]:
    """Best values of all seeds, by function and batch."""
    seeds = range(5 if options.quick else 30)
    jobs = [(w, f, b, s) for f in FUNCTIONS for b in BATCHES for s in seeds for w in DEFAULTS]
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        found = dict(zip(jobs, pool.map(best, jobs, chunksize=1), strict=True))
    cases = []
    for function in FUNCTIONS:
        for batch in BATCHES:
            ours, theirs = ([round(found[w, function, batch, s], 6) for s in seeds] for w in DEFAULTS)
            cases.append(
                {"function": function, "batch": batch, "flyteoptuna": ours, "optuna": theirs, **_p(ours, theirs)}
            )
    return {"trials": TRIALS, "seeds": len(seeds), "cases": cases}


def _p(ours: list[float], theirs: list[float]) -> dict[str, float]:
    sides = {"p_better": "less", "p_worse": "greater"}
    return {k: round(float(mannwhitneyu(ours, theirs, alternative=side).pvalue), 5) for k, side in sides.items()}


def tables(result: dict[str, Any]) -> list[Table]:
    """Median best values, and the one-sided p of the Mann-Whitney test on either side."""
    columns = ["function", "batch", "flyteoptuna", "Optuna", "p of being worse", "p of being better", ""]
    title = f"Best value after {result['trials']} trials, median of {result['seeds']} seeds; less is better"
    table = Table(title, columns)
    for case in result["cases"]:
        worse, better = case["p_worse"] < LEVEL, case["p_better"] < LEVEL
        same = case["flyteoptuna"] == case["optuna"]
        verdict = "the same" if same else "**worse**" if worse else "better" if better else "no difference shown"
        ours, theirs = (f"{statistics.median(case[who]):.3f}" for who in DEFAULTS)
        table.rows.append(
            [
                case["function"],
                str(case["batch"]),
                ours,
                theirs,
                f"{case['p_worse']:.3f}",
                f"{case['p_better']:.3f}",
                verdict,
            ]
        )
    return [table]


def misses(result: dict[str, Any]) -> list[str]:
    """Where the default is worse, and large batches in which it is not better."""
    found = []
    for case in result["cases"]:
        where = f"{case['function']}, batch {case['batch']}"
        if case["p_worse"] < LEVEL:
            found.append(f"{where}: worse than Optuna's default (p={case['p_worse']:.3f})")
        elif case["batch"] >= 50 and case["p_better"] >= LEVEL:
            found.append(f"{where}: not shown to be better than Optuna's default (p={case['p_better']:.3f})")
    return found
