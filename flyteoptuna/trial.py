"""Running one objective call, and turning what happens into a report."""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

ERROR_LIMIT = 1_000
"""Most characters of an error in a report: 1,000 reports must stay well under Flyte's 2 MiB for inline values."""


@dataclass
class TrialReport:
    """What became of one objective call.

    Attributes:
        trial: number of the trial that the call belongs to.
        values: the objective's values, one a direction; empty for a failure.
        start: seconds since the epoch.
        end: seconds since the epoch.
        error: why the trial failed; empty for a success.
    """

    trial: int
    values: list[float] = field(default_factory=list)
    start: float = 0.0
    end: float = 0.0
    error: str = ""


def outcome(result: Any, arity: int) -> tuple[list[float], str]:
    """The values of what an objective returned, or the reason why it is a failure; total over all inputs."""
    items = list(result) if isinstance(result, (tuple, list)) else [result]
    if len(items) != arity:
        return [], f"The objective must return {arity} value(s), but it returned {len(items)}: {result!r}"[:ERROR_LIMIT]
    values = []
    for item in items:
        try:
            if isinstance(item, (str, bytes, bool)):
                raise TypeError
            value = float(item)
        except (TypeError, ValueError, OverflowError):
            return [], f"The objective must return floats, but it returned {item!r} ({type(item).__name__})."[
                :ERROR_LIMIT
            ]
        if math.isnan(value):
            return [], "The objective returned nan, which is no value to compare trials by."
        values.append(value)
    return values, ""


def _failed(error: BaseException) -> str:
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    head = f"{type(error).__name__}: {error}"
    return (head if len(head) + len(text) + 2 > ERROR_LIMIT else f"{head}\n\n{text}")[:ERROR_LIMIT]


@contextmanager
def recorded(report: TrialReport, passes: tuple[type[BaseException], ...] = ()) -> Iterator[None]:
    """Time the body, and write an exception of it into the report; those of the types in ``passes`` go on."""
    report.start = time.time()
    try:
        yield
    except passes:
        raise
    except Exception as error:
        report.error = _failed(error)
    report.end = time.time()
