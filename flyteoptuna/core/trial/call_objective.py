"""One call of the objective: whatever happens in it becomes a report."""

from __future__ import annotations

import itertools
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, NamedTuple

from flyteoptuna.core.plain_values import named, plain, said, shown, traced
from flyteoptuna.core.refusal_words import listed
from flyteoptuna.core.trial import interrupts
from flyteoptuna.core.trial.current_trial import ActiveTrial, running
from flyteoptuna.core.trial.report import TrialReport, fill

VALUE, NUMBER, KEPT = "value", "number", "kept"
"""What an output of an objective is to a search: a value to compare trials by, a user attribute, or kept as it is."""


def _no_place(name: str, value: Any) -> bytes:
    raise TypeError(f"There is no place to keep the output `{name}` in.")


class Returns(NamedTuple):
    """What an objective returns.

    Attributes:
        kinds: ``VALUE``, ``NUMBER`` or ``KEPT`` for each output, by its name and in their order.
        keep: makes the bytes of an output that is kept, of its name and what was returned.
    """

    kinds: Mapping[str, str]
    keep: Callable[[str, Any], bytes] = _no_place


class Outcome(NamedTuple):
    """What an objective returned, apart: or an error, and nothing else."""

    values: Sequence[float] = ()
    numbers: Mapping[str, Any] = MappingProxyType({})
    kept: Mapping[str, Any] = MappingProxyType({})
    error: str = ""


def outcome(result: Any, kinds: Mapping[str, str]) -> Outcome:
    """What an objective returned, or the reason why it is a failure.

    What the result itself raises when it is looked at is the objective's own failure.
    """
    several = isinstance(result, (tuple, list))
    items = list(itertools.islice(result, len(kinds) + 1)) if several else [result]
    if len(items) != len(kinds):
        only = {*kinds.values()} == {VALUE}
        expected = f"{len(kinds)} value(s)" if only else f"{len(kinds)} outputs ({listed(kinds)})"
        count = f"more than {len(kinds)}" if len(items) > len(kinds) else str(len(items))
        return Outcome(error=f"The objective must return {expected}, but it returned {count}: {shown(result)}")
    values, numbers, kept = list[float](), dict[str, Any](), dict[str, Any]()
    for item, (name, kind) in zip(items, kinds.items(), strict=True):
        if kind == VALUE:
            try:
                if isinstance(item, (str, bytes, bool)):
                    raise TypeError
                values.append(float(item))
            except (TypeError, ValueError, OverflowError):
                return Outcome(error=f"The objective must return floats, but it returned {_given(item)}.")
            if math.isnan(values[-1]):
                return Outcome(error="The objective returned nan, which is no value to compare trials by.")
        elif kind == NUMBER:
            numbers[name] = plain(item)
            if not isinstance(numbers[name], (int, float)):
                return Outcome(
                    error=f"The output `{name}` must be a number, but the objective returned {_given(item)}."
                )
        else:
            kept[name] = item
    return Outcome(values, numbers, kept)


def _given(item: Any) -> str:
    return f"{shown(item)} ({named(item)})"


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
) -> Iterator[Callable[[Any, Returns], None]]:
    """Write into ``report`` what happens in the body, which hands the objective's result to what this yields.

    Nothing else leaves the body but Ctrl-C, for the search is to end then, and what ``passes``.

    Args:
        report: the report to fill.
        active: what ``current_trial()`` returns in the body.
        limit: bytes for the error, the attributes and the intermediate values together; see :func:`room`.
        passes: exceptions that go on as they are.
    """

    def returned(result: Any, returns: Returns) -> None:
        found = outcome(result, returns.kinds)
        for name, number in found.numbers.items():
            active.set_user_attr(name, number)
        report.outputs = {name: returns.keep(name, value) for name, value in found.kept.items()}
        report.values, report.error = [*found.values], found.error
        report.state = "COMPLETE" if not report.error else "FAIL"

    through: tuple[type[BaseException], ...] = (KeyboardInterrupt, *passes)
    interrupts.check()
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
