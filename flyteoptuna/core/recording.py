"""One call of the objective: whatever happens in it becomes a report."""

from __future__ import annotations

import math
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flyteoptuna.core.active_trial import ActiveTrial, running
from flyteoptuna.core.report import TrialReport, fill

_HERE = str(Path(__file__).parents[1])


class InputsNotMade(Exception):
    """Ends one trial before it is run: what makes its inputs has raised this exception's cause."""


def outcome(result: Any, arity: int) -> tuple[list[float], str]:
    """The values of what an objective returned, or the reason why it is a failure; total over all inputs."""
    items = list(result) if isinstance(result, (tuple, list)) else [result]
    if len(items) != arity:
        return [], f"The objective must return {arity} value(s), but it returned {len(items)}: {result!r}"
    values = []
    for item in items:
        try:
            if isinstance(item, (str, bytes, bool)):
                raise TypeError
            value = float(item)
        except (TypeError, ValueError, OverflowError):
            return [], f"The objective must return floats, but it returned {item!r} ({type(item).__name__})."
        if math.isnan(value):
            return [], "The objective returned nan, which is no value to compare trials by."
        values.append(value)
    return values, ""


def _pruned(error: BaseException) -> bool:
    # Only an objective that has imported optuna can have raised its exception.
    exceptions = sys.modules.get("optuna.exceptions")
    return exceptions is not None and isinstance(error, exceptions.TrialPruned)


def raised(error: BaseException) -> tuple[str, str]:
    """State and reason of a trial whose objective raised ``error``."""
    head = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if _pruned(error):
        return "PRUNED", head
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith(_HERE):
        # The library's own frames come first, and say nothing about what went wrong.
        frames = frames.tb_next
    text = "".join(traceback.format_exception(type(error), error, frames)).rstrip()
    return "FAIL", f"{head}\n\n{text}"


@contextmanager
def recording(
    report: TrialReport, active: ActiveTrial, limit: int, passes: tuple[type[BaseException], ...] = ()
) -> Iterator[Callable[[Any, int], None]]:
    """Write into ``report`` what happens in the body, which hands the objective's result to what this yields.

    Args:
        report: the report to fill.
        active: what ``current_trial()`` returns in the body.
        limit: bytes for the error, the attributes and the intermediate values together; see :func:`room`.
        passes: exceptions that go on as they are.
    """

    def returned(result: Any, arity: int) -> None:
        report.values, report.error = outcome(result, arity)
        report.state = "COMPLETE" if not report.error else "FAIL"

    report.start = time.time()
    try:
        with running(active):
            yield returned
    except passes:
        raise
    except (Exception, SystemExit) as error:
        report.state, report.error = raised(error)
    finally:
        report.end = time.time()
    fill(report, active, limit)
