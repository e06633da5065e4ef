"""A trial's pod: what it takes to load the trial task, beyond what the same user module takes without a search."""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
from collections import Counter
from typing import Any

from benchmarks.common import CHILDREN, Options, Table, child, seconds

TARGET = 0.1
_IMPORT = re.compile(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)")
_PLAIN = ("no", "flytekit.core.python_auto_container.default_task_resolver", "task-module", "without_flyteoptuna")
_PLAIN_TASK = (*_PLAIN, "task-name", "objective")


def _breakdown(args: tuple[str, ...], new: list[str]) -> dict[str, float]:
    """Seconds of each package's own modules among the new ones, by ``python -X importtime``."""
    command = [sys.executable, "-X", "importtime", str(CHILDREN / "load_trial.py"), *args]
    text = subprocess.run(command, capture_output=True, text=True, cwd=CHILDREN, check=True).stderr
    wanted, spent = set(new), Counter[str]()
    for own, name in _IMPORT.findall(text):
        if name in wanted:
            top = name if name.startswith("flyteoptuna") else name.partition(".")[0]
            spent[top] += int(own)
    return {name: microseconds / 1e6 for name, microseconds in spent.most_common(12)}


def measure(options: Options) -> dict[str, Any]:
    """Seconds and modules, each time in a process of its own."""
    trial = ("yes", "flyteoptuna.flyte.resolver.resolver", *child("trial_arguments.py")["args"])
    sides: dict[str, list[dict[str, Any]]] = {"with": [], "without": []}
    for _ in range(5 if options.quick else 21):
        # In turns, for the machine's mood changes.
        sides["without"].append(child("load_trial.py", *_PLAIN_TASK))
        sides["with"].append(child("load_trial.py", *trial))
    result: dict[str, Any] = {"runs": len(sides["with"])}
    for side, runs in sides.items():
        times = [run["seconds"] for run in runs]
        result[side] = {"median": statistics.median(times), "least": min(times), "modules": runs[0]["new"]}
    modules = sorted(set(result["with"]["modules"]) - set(result["without"]["modules"]))
    breakdown = _breakdown(trial, result["with"]["modules"])
    result["with"].pop("modules")
    result["without"].pop("modules")
    return {**result, "modules": modules, "heavy": sides["with"][0]["heavy"], "breakdown": breakdown}


def tables(result: dict[str, Any]) -> list[Table]:
    """Both sides, and where the time goes."""
    table = Table(f"Loading a trial's task, {result['runs']} processes each", ["", "median", "least"])
    for label, side in (("trial task of a search", "with"), ("the user's task alone", "without")):
        table.rows.append([label, seconds(result[side]["median"]), seconds(result[side]["least"])])
    table.rows.append(["difference", *(seconds(result["with"][k] - result["without"][k]) for k in ("median", "least"))])
    heavy = ", ".join(result["heavy"]) or "none"
    table.notes.append(f"Modules beyond flytekit's own: {len(result['modules'])}; optuna, numpy and the like: {heavy}.")
    shares = Table("Its imports, by `python -X importtime`", ["module", "own time"])
    shares.rows = [[name, seconds(value)] for name, value in result["breakdown"].items()]
    return [table, shares]


def misses(result: dict[str, Any]) -> list[str]:
    """Where loading takes longer than the target, or imports what it should not."""
    found = []
    extra = result["with"]["median"] - result["without"]["median"]
    if extra >= TARGET:
        found.append(f"{seconds(extra)} beyond flytekit's own, where {seconds(TARGET)} are the target")
    if "optuna" in result["heavy"]:
        found.append("a trial's pod imports optuna")
    return found
