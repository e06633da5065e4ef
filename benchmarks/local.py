"""A local run of a trivial objective: against flytekitplugins-optuna, and against ``study.optimize``."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.common import Options, Table, child, seconds

TRIALS = 500
TIMES = 4
"""The target: so many times the throughput of the plugin."""
BUSY_TRIALS, BUSY_SECONDS = 16, 2.0
TWICE = 1.75
"""The target for trials that keep a core busy, in two worker processes, whose start is part of it."""
_RIVALS = {"flytekitplugins-optuna, concurrency 10": "10", "flytekitplugins-optuna, concurrency 1": "1"}
_BATCHES = (1, 10, 50)


def _plugin_python(options: Options) -> str:
    """A Python with the plugin, which needs an environment of its own, for it requires an earlier Optuna."""
    if options.plugin_python:
        return options.plugin_python
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(cache) / "flyteoptuna-benchmarks" / "plugin"
    python = folder / "bin" / "python"
    if not python.exists():
        print("Installing flytekitplugins-optuna into an environment of its own ...", file=sys.stderr)
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "flytekitplugins-optuna"], check=True)
    return str(python)


def _versions(python: str) -> dict[str, str]:
    names = ("flytekitplugins-optuna", "flytekit", "optuna")
    code = f"import importlib.metadata as m; print(*[m.version(n) for n in {names!r}])"
    found = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    return dict(zip(names, found, strict=True))


def measure(options: Options) -> dict[str, Any]:
    """Seconds of each contender, without its imports, each run in a process of its own."""
    plugin, n = _plugin_python(options), str(100 if options.quick else TRIALS)
    quiet = {"FLYTE_SDK_LOGGING_LEVEL": "40"}
    runs: dict[str, list[float]] = {}
    for _ in range(2 if options.quick else 3):
        for label, concurrency in _RIVALS.items():
            ran = child("local_plugin.py", n, concurrency, python=plugin, **quiet)
            runs.setdefault(label, []).append(ran["seconds"])
        for batch in _BATCHES:
            for workers in ("1",) if batch == 1 else ("1", "2"):
                label = f"flyteoptuna, batch {batch}, {'in process' if workers == '1' else '2 worker processes'}"
                env = {**quiet, "FLYTEOPTUNA_LOCAL_WORKERS": workers}
                runs.setdefault(label, []).append(child("local_flyteoptuna.py", n, str(batch), **env)["seconds"])
        runs.setdefault("study.optimize", []).append(child("local_optuna.py", n)["seconds"])
    busy = {}
    for workers in ("1", "2"):
        args = str(BUSY_TRIALS), "4", str(BUSY_SECONDS / 4 if options.quick else BUSY_SECONDS)
        busy[workers] = child("local_flyteoptuna.py", *args, **quiet, FLYTEOPTUNA_LOCAL_WORKERS=workers)["seconds"]
    return {"trials": int(n), "runs": runs, "busy": busy, "plugin": _versions(plugin)}


def _ratios(result: dict[str, Any]) -> dict[str, float]:
    least = {label: min(times) for label, times in result["runs"].items()}
    rival = min(least[label] for label in _RIVALS)
    return {label: rival / value for label, value in least.items()}


def tables(result: dict[str, Any]) -> list[Table]:
    """Throughput of each, and its ratio to the faster of the plugin's runs."""
    columns = ["", "least", "median", "a trial", "throughput, plugin = 1"]
    table = Table(f"A local run of {result['trials']} trials with RandomSampler", columns)
    for label, ratio in _ratios(result).items():
        times = result["runs"][label]
        each = min(times) / result["trials"]
        table.rows.append([label, seconds(min(times)), seconds(median(times)), seconds(each), f"{ratio:.2f}"])
    long = Table(f"{BUSY_TRIALS} trials that keep a core busy, 4 at a time", ["worker processes", "seconds", "times"])
    for workers, spent in result["busy"].items():
        long.rows.append([workers, seconds(spent), f"{result['busy']['1'] / spent:.2f}"])
    used = ", ".join(f"{name} {version}" for name, version in result["plugin"].items())
    table.notes.append(f"The plugin's environment: {used}.")
    return [table, long]


def misses(result: dict[str, Any]) -> list[str]:
    """In-process runs, and busy ones in worker processes, below their targets."""
    found = [
        f"{label}: {ratio:.1f} times the plugin's throughput, where {TIMES} are the target"
        for label, ratio in _ratios(result).items()
        if label.startswith("flyteoptuna") and "in process" in label and ratio < TIMES
    ]
    if (gain := result["busy"]["1"] / result["busy"]["2"]) < TWICE:
        found.append(f"busy trials in two worker processes: {gain:.2f} times as fast, where {TWICE} are the target")
    return found
