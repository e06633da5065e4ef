"""``python -m benchmarks``: run the parts, print their tables, and keep their numbers."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import time
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks.common import ROOT, Options, environment

PARTS = ("driver", "local", "growth", "pod", "waiting", "journal", "quality")
RESULTS = ROOT / "results.json"
PAGE = ROOT.parent / "docs" / "benchmarks.md"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument("--quick", action="store_true", help="smaller sizes and fewer seeds, in about three minutes")
    parser.add_argument("--plugin-python", default="", help="a Python that has flytekitplugins-optuna")
    parser.add_argument("--json", type=Path, default=None, help="where to write (default: results.json, unless quick)")
    parser.add_argument("--show", action="store_true", help="run nothing: print the numbers that are kept")
    given = parser.parse_args()
    if unknown := set(given.parts) - set(PARTS):
        parser.error(f"unknown part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    return given


def _print(name: str, result: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    part, console = importlib.import_module(f"benchmarks.{name}"), Console()
    for shown in part.tables(result):
        table = Table(title=shown.title, title_justify="left")
        for index, column in enumerate(shown.columns):
            table.add_column(column, justify="right" if index else "left")
        for row in shown.rows:
            table.add_row(*row)
        console.print(table, *shown.notes)
    for miss in part.misses(result):
        console.print(f"misses its mark: {miss}", style="bold red")


def _write_page(results: dict[str, Any]) -> None:
    """Put the tables of each part between its markers in the documentation."""
    text = PAGE.read_text()
    for name, result in results.items():
        part = importlib.import_module(f"benchmarks.{name}")
        begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
        if begin not in text:
            continue
        head, rest = text.split(begin)
        blocks = [table.markdown() for table in part.tables(result)]
        if misses := part.misses(result):
            blocks.append("Misses its mark:\n\n" + "\n".join(f"- {miss}" for miss in misses))
        text = f"{head}{begin}\n" + "\n\n".join(blocks) + f"\n\n{end}{rest.split(end, 1)[1]}"
    PAGE.write_text(text)


def main() -> None:
    """Run the parts that the command line names."""
    given = _arguments()
    options = Options(given.quick, given.plugin_python)
    target = given.json or (None if given.quick else RESULTS)
    kept = json.loads(target.read_text()) if target is not None and target.exists() else {}
    if given.show:
        kept = kept or json.loads(RESULTS.read_text())
    for name in given.parts or PARTS:
        if not given.show:
            start = time.perf_counter()
            result = importlib.import_module(f"benchmarks.{name}").measure(options)
            took = round(time.perf_counter() - start)
            kept[name] = {"date": date.today().isoformat(), "took": took, "environment": environment(), **result}
            if target is not None:
                # After each part, for a later one may be interrupted.
                target.write_text(json.dumps({part: kept[part] for part in PARTS if part in kept}, indent=1) + "\n")
        if name in kept:
            _print(name, kept[name])
    if target == RESULTS and PAGE.exists():
        _write_page(kept)


if __name__ == "__main__":
    # Before numpy is imported: its threads would compete with the processes of a part.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("FLYTE_SDK_LOGGING_LEVEL", "40")
    main()
