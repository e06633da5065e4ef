"""Records of a trial from its ranks, the processes in which a plugin calls the objective's function.

A rank writes each record to a file of its own at once, so that the records of a rank that is killed are not lost.
"""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flyteoptuna.trial.current_trial import ActiveTrial
from flyteoptuna.values.text import exception_line

# Environment variable with the number of a rank, counted from 0; set by torch.
RANK = "RANK"


class RankTrial(ActiveTrial):
    """The running trial in a rank: ``write`` is called with each record of it."""

    _write: Callable[[str, Any], None]

    def write_to(self, write: Callable[[str, Any], None]) -> None:
        """Set the function to call with the kind and the value of each record."""
        self._write = write

    def report(self, value: float, step: int) -> None:
        """Report an intermediate value."""
        super().report(value, step)
        self._write("intermediate", [int(step), self._intermediate[int(step)]])

    def set_user_attr(self, key: str, value: Any) -> None:
        """Set a user attribute."""
        super().set_user_attr(key, value)
        self._write("user_attr", [str(key), self._user_attrs[str(key)]])

    def set_constraint(self, key: str, value: float) -> None:
        """Set the value of a constraint."""
        super().set_constraint(key, value)
        self._write("system_attrs", self._system_attrs)

    def set_system_attrs(self, system_attrs: Mapping[str, Any]) -> None:
        """Set a pruner's attributes of the trial."""
        super().set_system_attrs(system_attrs)
        self._write("system_attrs", self._system_attrs)


class RankFile:
    """File of the records of one rank; ``parent_rank`` is the value of ``RANK`` in the process that started the ranks.

    The folder of the file is on the parent's machine. The records of a rank on another machine are lost.
    """

    def __init__(self, folder: str, parent_rank: str | None) -> None:
        rank = os.environ.get(RANK, "")
        # Without a number, each process is a rank of its own.
        numbered = rank.isdecimal() and rank != parent_rank
        name = f"{int(rank):09d}" if numbered else f"p{os.getpid():08d}"
        self._path = Path(folder, f"{name}-{time.time_ns()}.jsonl")

    def write(self, kind: str, value: Any) -> None:
        """Append a record; warn where it cannot be written, because the rank's work counts all the same."""
        try:
            with self._path.open("a") as file:
                file.write(json.dumps([kind, value]) + "\n")
        except OSError as error:
            warnings.warn(f"A record of a trial in a rank is lost: {exception_line(error)}", stacklevel=2)


@dataclass
class RankRecords:
    """Records of one rank."""

    intermediate: dict[int, float] = field(default_factory=dict)
    user_attrs: dict[str, str | None] = field(default_factory=dict)  # as JSON; None for a value too large
    system_attrs: dict[str, Any] = field(default_factory=dict)
    pruner: str = ""  # as in `TrialReport`
    raised: tuple[float, str, str] | None = None  # time of an exception, and the state and reason that it stands for


def read_rank_records(folder: str) -> list[RankRecords]:
    """Read the records of all ranks by their number; of a rank that was started again, those of its last start."""
    files: dict[str, Path] = {}
    for path in sorted(Path(folder).glob("*.jsonl")):
        files[path.name.partition("-")[0]] = path
    return [_read(path) for path in files.values()]


def _read(path: Path) -> RankRecords:
    records = RankRecords()
    # A rank may have been killed while it wrote a line.
    for line in path.read_text().splitlines(keepends=True):
        if line.endswith("\n"):
            kind, value = json.loads(line)
            if kind == "intermediate":
                records.intermediate[value[0]] = value[1]
            elif kind == "user_attr":
                records.user_attrs[value[0]] = value[1]
            elif kind == "system_attrs":
                records.system_attrs = value
            elif kind == "pruner":
                records.pruner = value
            else:
                records.raised = (value[0], value[1], value[2])
    return records
