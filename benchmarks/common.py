"""What the parts share: tables, fits, subprocesses and what is known of the machine."""

from __future__ import annotations

import importlib.metadata
import json
import math
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent
CHILDREN = ROOT / "children"
"""Scripts that are run in processes of their own."""


@dataclass
class Options:
    """What the command line asks for."""

    quick: bool = False
    plugin_python: str = ""


@dataclass
class Table:
    """A table for the terminal and for the documentation."""

    title: str
    columns: Sequence[str]
    rows: list[list[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def markdown(self) -> str:
        """The table in Markdown."""
        lines = [f"**{self.title}**", "", _line(self.columns), _line(["---", *["---:"] * (len(self.columns) - 1)])]
        lines += [_line(row) for row in self.rows]
        return "\n".join([*lines, *(f"\n{note}" for note in self.notes)])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def environment() -> dict[str, Any]:
    """Versions and the size of the machine."""
    names = ("flyteoptuna", "optuna", "flytekit", "numpy")
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in names},
        "system": platform.system(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(pages / 2**30),
    }


def child(script: str, *args: str, python: str = sys.executable, **env: str) -> dict[str, Any]:
    """Run one of the scripts in ``CHILDREN`` in a process of its own; returns the JSON of its last line.

    Raises:
        RuntimeError: the process failed; holds the end of what it wrote.
    """
    path = CHILDREN / script
    done = subprocess.run(
        [python, str(path), *args], capture_output=True, text=True, env={**os.environ, **env}, cwd=CHILDREN
    )
    if done.returncode:
        raise RuntimeError(f"{script} {' '.join(args)} failed:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def exponent(xs: Sequence[float], ys: Sequence[float]) -> float:
    """Slope of the least-squares line through the points in log-log: 1 for linear growth."""
    points = [(math.log(x), math.log(y)) for x, y in zip(xs, ys, strict=True)]
    mean_x, mean_y = (sum(axis) / len(points) for axis in zip(*points, strict=True))
    above = sum((x - mean_x) * (y - mean_y) for x, y in points)
    return above / sum((x - mean_x) ** 2 for x, _ in points)


def seconds(value: float) -> str:
    """Seconds for people to read."""
    return f"{value * 1000:.3g} ms" if value < 1 else f"{value:.3g} s"
