"""Running one objective call, and turning what happens into a report."""

from __future__ import annotations

import json
import math
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

ROOM = 1_500_000
"""Bytes that the reports of a batch may take together: Flyte reads at most 2 MiB of inline values."""
ERROR_LIMIT = 4_000
"""Most bytes of an error in a report, however small the batch."""
POINT = 14
"""Most bytes of an intermediate value with its step."""
OVERHEAD = 400
"""Bytes of a report apart from its error, attributes and intermediate values."""
ERROR_ATTRIBUTE = "flyteoptuna:error"
"""The user attribute of a failed or pruned trial that holds the reason."""
_HERE = os.path.dirname(__file__)


@dataclass
class TrialReport:
    """What became of one objective call.

    Attributes:
        trial: number of the trial that the call was made for. A cached report names the trial of an earlier search.
        key: digest of the inputs that the call was made with.
        state: COMPLETE, PRUNED or FAIL, as in ``optuna.trial.TrialState``.
        values: the objective's values, one a direction; empty unless the trial is complete.
        start: seconds since the epoch.
        end: seconds since the epoch.
        error: why the trial failed or was pruned; empty for a complete one.
        steps: steps of the intermediate values, in the order in which they were reported.
        intermediate: the intermediate values, one a step.
        user_attrs: the user attributes as a JSON object.
        system_attrs: what Optuna keeps with the trial, constraints and a pruner's rungs, as a JSON object.
    """

    trial: int
    key: str = ""
    state: str = "FAIL"
    values: list[float] = field(default_factory=list)
    start: float = 0.0
    end: float = 0.0
    error: str = ""
    steps: list[int] = field(default_factory=list)
    intermediate: list[float] = field(default_factory=list)
    user_attrs: str = "{}"
    system_attrs: str = "{}"


def room(batch: int) -> int:
    """Bytes that one report of a batch may take for its error, its attributes and its intermediate values."""
    return max(ROOM // batch - OVERHEAD, 0)


def cut(text: str, limit: int) -> str:
    """``text`` in at most ``limit`` bytes of UTF-8, with a note where something is missing."""
    data = text.encode(errors="replace")
    if len(data) <= limit:
        return data.decode()
    note = f" ... ({len(data)} bytes, cut)"
    return (data[: max(limit - len(note), 0)].decode(errors="ignore") + note)[:limit]


class InputsNotMade(Exception):
    """Ends one trial before it is run: what makes its inputs has raised this exception's cause."""


class ActiveTrial:
    """The trial that an objective runs for, as ``current_trial()`` returns it.

    Attributes:
        number: the trial's number in its study; -1 outside a search.
        params: the suggested parameters by their dotted paths; empty outside a search.
    """

    def __init__(
        self,
        number: int = -1,
        params: Mapping[str, Any] | None = None,
        decide: Callable[[ActiveTrial], bool] | None = None,
    ) -> None:
        self.number = number
        self.params: dict[str, Any] = dict(params or {})
        self.intermediate: dict[int, float] = {}
        self.user_attrs: dict[str, Any] = {}
        self.system_attrs: dict[str, Any] = {}
        self._decide = decide

    def report(self, value: float, step: int) -> None:
        """Report an intermediate value, as ``optuna.Trial.report`` does. A step reported twice keeps its first value.

        Raises:
            TypeError: ``value`` is no number, or ``step`` is no int.
            ValueError: ``step`` is negative, or has more than 63 bits.
        """
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise TypeError(f"`value` must be a number, but got {value!r} ({type(value).__name__}).") from None
        if isinstance(step, bool) or not isinstance(step, int):
            raise TypeError(f"`step` must be an int, but got {step!r} ({type(step).__name__}).")
        if not 0 <= step < 2**63:
            raise ValueError(f"`0 <= step < 2**63` must hold, but got step={step}.")
        self.intermediate.setdefault(step, number)

    def should_prune(self) -> bool:
        """Whether the study's pruner would end this trial now; False outside a search.

        The pruner sees the other trials as they were when this trial's batch was asked.
        """
        return self._decide is not None and self._decide(self)

    def set_user_attr(self, key: str, value: Any) -> None:
        """Keep ``value``, anything that JSON can hold, as a user attribute of the trial.

        Raises:
            TypeError: JSON cannot hold the value.
        """
        try:
            json.dumps(value)
        except (TypeError, ValueError) as error:
            raise TypeError(f"The user attribute `{key}` must be something that JSON can hold: {error}.") from None
        self.user_attrs[str(key)] = value

    def set_constraint(self, key: str, value: float) -> None:
        """Keep the value of a constraint, which is broken above 0, as ``optuna.Trial.set_constraint`` of optuna 5 does.

        A constraint that is set twice keeps its first value.

        Raises:
            TypeError: ``value`` is no number.
            ValueError: ``value`` is NaN.
        """
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise TypeError(f"A constraint must be a number, but `{key}` is {value!r}.") from None
        if math.isnan(number):
            raise ValueError(f"A constraint must not be NaN, but `{key}` is.")
        self.system_attrs.setdefault(f"constraints:{key}", number)


_current: ContextVar[ActiveTrial | None] = ContextVar("flyteoptuna_trial", default=None)


def current_trial() -> ActiveTrial:
    """The trial that the running objective was called for; outside a search, a stand-in that does nothing."""
    return _current.get() or ActiveTrial()


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

    token = _current.set(active)
    report.start = time.time()
    try:
        yield returned
    except passes:
        raise
    except (Exception, SystemExit) as error:
        report.state, report.error = raised(error)
    finally:
        report.end = time.time()
        _current.reset(token)
    _fill(report, active, limit)


def _fill(report: TrialReport, active: ActiveTrial, limit: int) -> None:
    shares = 3 if active.user_attrs or active.intermediate else 1
    report.error = cut(report.error, min(ERROR_LIMIT, limit // shares))
    left = limit - len(report.error.encode())
    attrs, notes = dict(active.user_attrs), []
    by_size = sorted(attrs, key=lambda key: len(json.dumps(attrs[key])))
    while attrs and len(json.dumps(attrs)) > left // 2:
        del attrs[by_size.pop()]
    if len(attrs) < len(active.user_attrs):
        notes.append(f"{len(active.user_attrs) - len(attrs)} user attributes were too large")
    points = list(active.intermediate.items())
    every = max(-(-len(points) * POINT // max(left // 2, 1)), 1)
    if every > 1:
        # The last one is what pruners and people look at first.
        points = [point for index, point in enumerate(reversed(points)) if index % every == 0][::-1]
        notes.append(f"of the intermediate values, one in {every} is kept")
    if notes:
        attrs["flyteoptuna:cut"] = "; ".join(notes)
    report.user_attrs, report.system_attrs = json.dumps(attrs), json.dumps(active.system_attrs)
    report.steps, report.intermediate = [step for step, _ in points], [value for _, value in points]


def match(reports: Iterable[TrialReport | None], trials: Sequence[tuple[int, str]]) -> dict[int, TrialReport]:
    """The report of each trial that sent one, by the trial's number.

    A report belongs to the trial that it names where the keys agree too. Any other was cached by an earlier trial at
    the same point, and goes to the first trial with its key that has none. Positions in the list mean nothing, for
    Flyte may drop an element.

    Args:
        reports: what a map returned.
        trials: number and key of each trial of the batch, in their order.
    """
    keys, matched, cached = dict(trials), {}, []
    for report in reports:
        if report is None:
            continue
        if keys.get(report.trial) == report.key and report.trial not in matched:
            matched[report.trial] = report
        else:
            cached.append(report)
    for report in cached:
        free = next((number for number, key in trials if key == report.key and number not in matched), None)
        if free is not None:
            matched[free] = report
    return matched
