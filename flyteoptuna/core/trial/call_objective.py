"""One call of the objective: whatever happens in it becomes a report."""

from __future__ import annotations

import itertools
import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from flyteoptuna.core.plain_values import named, said, shown, traced
from flyteoptuna.core.trial.current_trial import ActiveTrial, running
from flyteoptuna.core.trial.report import TrialReport, fill


def outcome(result: Any, arity: int) -> tuple[list[float], str]:
    """The values of what an objective returned, or the reason why it is a failure.

    What the result itself raises when it is looked at is the objective's own failure.
    """
    several = isinstance(result, (tuple, list))
    items = list(itertools.islice(result, arity + 1)) if several else [result]
    if len(items) != arity:
        count = f"more than {arity}" if len(items) > arity else str(len(items))
        return [], f"The objective must return {arity} value(s), but it returned {count}: {shown(result)}"
    values = []
    for item in items:
        try:
            if isinstance(item, (str, bytes, bool)):
                raise TypeError
            value = float(item)
        except (TypeError, ValueError, OverflowError):
            return [], f"The objective must return floats, but it returned {shown(item)} ({named(item)})."
        if math.isnan(value):
            return [], "The objective returned nan, which is no value to compare trials by."
        values.append(value)
    return values, ""


def raised(error: BaseException) -> tuple[str, str]:
    """State and reason of a trial that ``error`` has ended; total over all exceptions."""
    # Only an objective that has imported optuna can have raised its exception.
    exceptions = sys.modules.get("optuna.exceptions")
    if exceptions is not None and issubclass(type(error), exceptions.TrialPruned):
        return "PRUNED", said(error)
    return "FAIL", f"{said(error)}\n\n{traced(error)}".rstrip()


@contextmanager
def recording(
    report: TrialReport, active: ActiveTrial, limit: int, passes: tuple[type[BaseException], ...] = ()
) -> Iterator[Callable[[Any, int], None]]:
    """Write into ``report`` what happens in the body, which hands the objective's result to what this yields.

    Nothing else leaves the body but Ctrl-C, for the search is to end then, and what ``passes``.

    Args:
        report: the report to fill.
        active: what ``current_trial()`` returns in the body.
        limit: bytes for the error, the attributes and the intermediate values together; see :func:`room`.
        passes: exceptions that go on as they are.
    """

    def returned(result: Any, arity: int) -> None:
        report.values, report.error = outcome(result, arity)
        report.state = "COMPLETE" if not report.error else "FAIL"

    through: tuple[type[BaseException], ...] = (KeyboardInterrupt, *passes)
    report.start = time.time()
    try:
        with running(active):
            yield returned
    except through:
        raise
    except BaseException as error:
        report.state, report.error = raised(error)
    finally:
        report.end = time.time()
    try:
        fill(report, active, limit)
    except Exception as error:
        report.state, report.error = raised(error)
