"""A generation's driver: what it takes beyond Optuna's own tell and ask on the same history."""

from __future__ import annotations

import functools
import gc
import logging
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import optuna
from flytekit.configuration import ImageConfig, SerializationSettings
from flytekit.core.context_manager import ExecutionState, FlyteContextManager
from flytekit.models.literals import LiteralMap

from benchmarks import history, objectives
from benchmarks.common import Options, Table, seconds
from flyteoptuna.flyte.references import Reference, to_reference
from flyteoptuna.flyte.study_type import StudyTransformer
from flyteoptuna.search import generation, trial_inputs
from flyteoptuna.search.batches import driver
from flyteoptuna.trial.report import TrialReport

SHARE, SECONDS = 0.15, 0.1
"""The target: what is beyond Optuna's own time is below this share of it, or below so many seconds."""
STEPS = ("load", "receive", "tell", "show", "check", "ask", "inputs", "save")


@contextmanager
def _clocks() -> Iterator[dict[str, float]]:
    """Seconds spent in each step of ``ask_in_pod``."""
    spent: dict[str, float] = defaultdict(float)

    def timed(step: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                spent[step] += time.perf_counter() - start

        return run

    wrapped: list[tuple[Any, str, str]] = [
        (Reference, "read", "load"),
        (driver.report_transport, "read_map_reports", "receive"),
        (generation, "tell_trials", "tell"),
        (driver, "_draw_deck", "show"),
        (generation.stopping, "check_failures", "check"),
        (generation.ask, "ask_trial", "ask"),
        (generation, "make_jobs", "inputs"),
        (StudyTransformer, "to_literal", "save"),
        # What is Optuna's own of the steps above.
        (optuna.Study, "tell", "optuna"),
        (optuna.Study, "ask", "optuna"),
        (optuna.Trial, "suggest_float", "optuna"),
    ]
    with ExitStack() as stack:
        for owner, name, step in wrapped:
            stack.enter_context(mock.patch.object(owner, name, timed(step, getattr(owner, name))))
        yield spent


def _plain(study: optuna.Study, told: list[TrialReport], batch: int) -> dict[str, float]:
    """Optuna alone: tell the batch, ask the next."""
    start = time.perf_counter()
    for report in told:
        study.tell(report.trial, report.values)
    middle = time.perf_counter()
    for _ in range(batch):
        trial = study.ask()
        for name, suggestion in objectives.SPACE.items():
            trial.suggest_float(name, suggestion.low, suggestion.high)
    end = time.perf_counter()
    return {"tell": middle - start, "ask": end - middle, "total": end - start}


def _generation(index: int, study: Reference, sent: Reference, batch: int) -> dict[str, float]:
    given = objectives.settings(10**6, batch)
    build = trial_inputs.input_builder(objectives.ten, objectives.ten, given.space, {})
    with _clocks() as spent:
        start = time.perf_counter()
        history.handed_on(driver.ask_in_pod(index, study, sent, given, build, [*objectives.SPACE]))
        total = time.perf_counter() - start
    return {**{step: spent[step] for step in STEPS}, "beyond": total - spent["optuna"], "total": total}


def _pod(index: int, study: Reference, sent: Reference, batch: int) -> float:
    """Seconds of the driver pod's whole task, with the lists that it hands to Flyte and its deck."""
    values = {"index": index, "over": False, "settings": objectives.settings(10**6, batch).to_json()}
    literals = {name: to_reference(value, type(value)).literal for name, value in values.items()}
    inputs = LiteralMap({**literals, "study": study.literal, "reports": sent.literal})
    settings = SerializationSettings(ImageConfig.auto(img_name="image:tag"), "project", "domain", "version")
    ctx = FlyteContextManager.current_context()
    state = ctx.new_execution_state().with_params(mode=ExecutionState.Mode.TASK_EXECUTION)
    inside = ctx.with_execution_state(state).with_serialization_settings(settings)
    task = objectives.search().ask
    with FlyteContextManager.with_context(inside) as pod:
        start = time.perf_counter()
        task.dispatch_execute(pod, inputs)
        return time.perf_counter() - start


def _case(finished: int, batch: int, repeats: int) -> dict[str, Any]:
    index = finished // batch + 1
    runs: list[dict[str, Any]] = []
    with history.bucket():
        study, sent, told = history.asked(finished, batch)
        for _ in range(repeats + 1):
            plain_study = history.read(study)
            gc.collect()
            plain = _plain(plain_study, told, batch)
            del plain_study
            gc.collect()
            ours = _generation(index, study, sent, batch)
            gc.collect()
            with _clocks() as spent:
                pod = _pod(index, study, sent, batch)
            runs.append({"plain": plain, "ours": ours, "pod": pod - spent["optuna"]})
        size = history.file(study).stat().st_size
    del runs[0]  # It warms up.

    def least(side: str) -> dict[str, float]:
        return {key: round(min(run[side][key] for run in runs), 5) for key in runs[0][side]}

    plain, ours = least("plain"), least("ours")
    excess = statistics.median(run["ours"]["beyond"] for run in runs)
    graph = statistics.median(run["pod"] for run in runs)
    # Neighbours in time share the machine's mood.
    whole = statistics.median(run["ours"]["total"] / run["plain"]["total"] for run in runs)
    sums = {"excess": round(excess, 5), "excess_with_graph": round(graph, 5), "whole_to_plain": round(whole, 3)}
    return {"finished": finished, "batch": batch, "plain": plain, "ours": ours, "file_bytes": size, **sums}


def measure(options: Options) -> dict[str, Any]:
    """Seconds, by finished trials and batch."""
    logging.getLogger("flyteoptuna").setLevel(logging.ERROR)
    sizes = (100, 1_000) if options.quick else (100, 1_000, 10_000)
    repeats = {n: 2 if n >= 10_000 else 3 if options.quick else 7 for n in sizes}
    return {"cases": [_case(n, batch, repeats[n]) for n in sizes for batch in (10, 50)]}


def tables(result: dict[str, Any]) -> list[Table]:
    """What a driver takes beyond Optuna's own calls, and where its time goes."""
    columns = [
        "finished trials",
        "batch",
        "Optuna alone",
        "beyond it",
        "share",
        "with lists and deck",
        "driver / Optuna",
    ]
    table = Table("A generation's driver, beyond Optuna's own tell and ask", columns)
    steps = Table("Where a driver's time goes", ["finished trials", "batch", *STEPS, "tell by Optuna", "ask by Optuna"])
    for case in result["cases"]:
        names, plain, excess = [f"{case['finished']:,}", str(case["batch"])], case["plain"], case["excess"]
        share = excess / plain["total"]
        graph, whole = case["excess_with_graph"], f"{case['whole_to_plain']:.2f}"
        table.rows.append([*names, *map(seconds, (plain["total"], excess)), f"{share:.0%}", seconds(graph), whole])
        shown = [*(case["ours"][step] for step in STEPS), plain["tell"], plain["ask"]]
        steps.rows.append([*names, *map(seconds, shown)])
    return [table, steps]


def _met(excess: float, total: float) -> bool:
    return excess < max(SHARE * total, SECONDS)


def misses(result: dict[str, Any]) -> list[str]:
    """Cases in which the excess is above the target."""
    return [
        f"{case['finished']:,} trials, batch {case['batch']}: {seconds(case['excess'])} beyond Optuna's "
        f"{seconds(case['plain']['total'])}"
        for case in result["cases"]
        if not _met(case["excess"], case["plain"]["total"])
    ]
