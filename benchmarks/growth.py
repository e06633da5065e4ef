"""Growth with the number of trials: CPU seconds of the drivers, bytes written and pods of a whole search."""

from __future__ import annotations

import logging
import time
from typing import Any

import optuna

from benchmarks import history, objectives
from benchmarks.common import Options, Table, exponent, seconds
from flyteoptuna.flyte.references import Reference, to_reference
from flyteoptuna.search import plan
from flyteoptuna.search.batches import driver
from flyteoptuna.search.trial_inputs import input_builder
from flyteoptuna.study import samplers, system_attrs
from flyteoptuna.trial.report import TrialReport

BATCH = 50
SIZES = (100, 300, 1_000, 3_000, 10_000)


def _pods(n_trials: int) -> dict[str, int]:
    """Pods that are not trials. The topmost span runs in the search's own."""
    shape = plan.search_shape(n_trials, BATCH)
    return {"generations": shape.generations, "asks": shape.asks, "spans": shape.spans, "others": 2}


def _sent(made: driver.AskedGeneration) -> Reference:
    return to_reference(objectives.reports(history.running(made)), list[TrialReport | None])


def measure(options: Options) -> dict[str, Any]:
    """One search of real generations, whose trials are simulated; its sums at each size.

    The sampler is random, so that what grows is the library's own work.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("flyteoptuna").setLevel(logging.ERROR)
    sizes = [n for n in SIZES if n <= 1_000] if options.quick else list(SIZES)
    settings, rows = objectives.settings(max(sizes), BATCH), []
    build, names = input_builder(objectives.ten, objectives.ten, settings.space, {}), [*objectives.SPACE]
    study = samplers.create_default_study(BATCH, seed=1)
    study.sampler = optuna.samplers.RandomSampler(seed=1)
    system_attrs.store_search_mark(study)
    with history.bucket() as folder:
        state, sent = to_reference(study, optuna.Study), to_reference([], list[TrialReport])
        # The first ones of a process pay for what is imported late.
        warm = driver.ask_in_pod(0, state, sent, settings, build, names)
        driver.read_and_tell(warm.study, _sent(warm), settings.max_failures, last=True)
        history.file(history.handed_on(warm)).unlink()
        spent, told = 0.0, 0
        for index in range(plan.count_generations(settings.n_trials, BATCH) + 1):
            if told in sizes:
                start = time.process_time()
                last = driver.read_and_tell(state, sent, settings.max_failures, last=True)
                ended = to_reference(last, optuna.Study)
                end = spent + time.process_time() - start
                files = [f.stat().st_size for f in folder.rglob("*") if f.is_file()]
                rows.append({"n_trials": told, "seconds": round(end, 3), "bytes": sum(files), **_pods(told)})
                # Only a search that ends here has this file.
                history.file(ended).unlink()
            if told == settings.n_trials:
                break
            start = time.process_time()
            made = driver.ask_in_pod(index, state, sent, settings, build, names)
            state = history.handed_on(made)
            spent += time.process_time() - start
            told += len(history.running(made))
            sent = _sent(made)
    return {"batch": BATCH, "rows": rows}


def tables(result: dict[str, Any]) -> list[Table]:
    """The sums, and their exponents over the larger sizes."""
    columns = ["trials", "CPU seconds of drivers", "MB written", "generations", "spans", "driver pods a trial"]
    table = Table(f"A whole search in batches of {result['batch']}, without Optuna's sampler", columns)
    for row in result["rows"]:
        pods = row["asks"] + row["spans"] + row["others"]
        counts = [f"{row['generations']:,}", f"{row['spans']:,}", f"{pods / row['n_trials']:.3f}"]
        table.rows.append([f"{row['n_trials']:,}", seconds(row["seconds"]), f"{row['bytes'] / 1e6:.2f}", *counts])
    found = exponents(result)
    table.rows.append(["exponent", f"{found['seconds']:.2f}", f"{found['bytes']:.2f}", f"{found['pods']:.2f}", "", ""])
    table.notes.append(
        "Exponents are fitted in log-log over the last three sizes; that under generations is of all driver pods."
    )
    return [table]


def exponents(result: dict[str, Any]) -> dict[str, float]:
    """Fitted growth of seconds, bytes and driver pods; the first sizes are mostly constant costs."""
    rows = result["rows"][-3:]
    xs = [row["n_trials"] for row in rows]
    found = {key: exponent(xs, [row[key] for row in rows]) for key in ("seconds", "bytes")}
    return {**found, "pods": exponent(xs, [row["asks"] + row["spans"] + row["others"] for row in rows])}


def misses(result: dict[str, Any]) -> list[str]:
    """Growth that is more than quadratic, or pods that grow faster than trials."""
    found = exponents(result)
    limits = {"seconds": 2.05, "bytes": 2.05, "pods": 1.05}
    return [f"{key} grow as n^{found[key]:.2f}" for key, limit in limits.items() if found[key] > limit]
