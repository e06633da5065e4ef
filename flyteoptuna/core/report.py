"""The report of a trial: what it holds, how much of it there may be, and which trial it belongs to."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from flyteoptuna.core.active_trial import ActiveTrial

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


def fill(report: TrialReport, active: ActiveTrial, limit: int) -> None:
    """Write what a trial kept into its report, cut to ``limit`` bytes, with a note of what is missing."""
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
