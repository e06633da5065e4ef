"""The report of a trial: what it holds, how much of it there may be, and which trial it belongs to."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from flyteoptuna.core.trial.current_trial import OWN, ActiveTrial

ROOM = 1_500_000
"""Bytes that the reports of a batch may take together: Flyte reads at most 2 MiB of inline values."""

ERROR_LIMIT = 4_000
"""Most bytes of an error in a report, however small the batch."""

POINT = 14
"""Most bytes of an intermediate value with its step."""

OVERHEAD = 400
"""Bytes of a report apart from its error, attributes and intermediate values."""

ERROR_ATTRIBUTE = f"{OWN}error"
"""The user attribute of a failed or pruned trial that holds the reason."""

CUT_ATTRIBUTE = f"{OWN}cut"
"""The user attribute of a trial that tells what its report had no room for."""


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
        pruner: the pruner, packed, where it has learned in the trial; see ``study.pruning``.
        outputs: what else the objective returned, by the names of its outputs, as Flyte's literals; none unless the
            trial is complete.
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
    pruner: str = ""
    outputs: dict[str, bytes] = field(default_factory=dict)


class Expected(NamedTuple):
    """A trial that a report is expected of.

    Attributes:
        number: its number.
        key: digest of its inputs.
        cached: whether its report may be one that an earlier trial has left in Flyte's cache.
    """

    number: int
    key: str
    cached: bool = False


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
    """Write what a trial kept into its report, cut to ``limit`` bytes, with a note of what is missing.

    What Optuna is to know of a trial, as its constraints, is not cut: where there is no room for it, the trial fails.
    """
    intermediate, user_attrs, system_attrs = active.ended()
    report.system_attrs = json.dumps(system_attrs)
    if len(report.system_attrs) > limit + OVERHEAD // 2:
        report.error = (
            f"The constraints of the trial take {len(report.system_attrs)} bytes, but its report has room for {limit}. "
            "Choose a smaller `batch_size`."
        )
        report.state, report.values, report.system_attrs = "FAIL", [], "{}"
    shares = 3 if user_attrs or intermediate else 1
    report.error = cut(report.error, min(ERROR_LIMIT, limit // shares))
    left = max(limit - len(report.error.encode()) - len(report.system_attrs), 0)
    notes = []
    for name in sorted(report.outputs, key=lambda name: len(report.outputs[name])):
        size = len(report.outputs[name])
        if size > left:
            notes.append(f"the output `{name}` was too large, {size} bytes")
            warnings.warn(
                f"The output `{name}` takes {size} bytes in the report of its trial, which has room for {left}, and is "
                "not kept. Return it as a FlyteFile, or choose a smaller `batch_size`.",
                UserWarning,
                stacklevel=2,
            )
            del report.outputs[name]
        else:
            left -= size
    attrs, lost = _fitting(user_attrs, left // 2)
    notes += [f"{lost} user attributes were too large"] if lost else []
    points = list(intermediate.items())
    every = max(-(-len(points) * POINT // max(left // 2, 1)), 1)
    if every > 1:
        # The last one is what pruners and people look at first.
        points = [point for index, point in enumerate(reversed(points)) if index % every == 0][::-1]
        notes.append(f"of the intermediate values, one in {every} is kept")
    if notes:
        attrs.append(f"{json.dumps(CUT_ATTRIBUTE)}: {json.dumps('; '.join(notes))}")
    report.user_attrs = f"{{{', '.join(attrs)}}}"
    report.steps, report.intermediate = [step for step, _ in points], [value for _, value in points]


def _fitting(attrs: dict[str, str | None], limit: int) -> tuple[list[str], int]:
    """The members of a JSON object that take at most ``limit`` bytes, the smallest ones first, and how many do not."""
    members = {key: f"{json.dumps(key)}: {text}" for key, text in attrs.items() if text is not None}
    kept, size = set[str](), 2
    for key in sorted(members, key=lambda key: len(members[key])):
        size += len(members[key]) + 2
        if size > limit + 2:
            break
        kept.add(key)
    return [member for key, member in members.items() if key in kept], len(attrs) - len(kept)


def match(reports: Iterable[TrialReport | None], trials: Iterable[Expected]) -> dict[int, TrialReport]:
    """The report of each trial that sent one, by the trial's number.

    A report belongs to the trial that it names where the keys agree too. Any other is taken for one that was cached by
    an earlier trial at the same point, and goes to the first trial with its key that has none, if the objective of that
    is cached. Positions in the list mean nothing, for Flyte may drop an element.

    Args:
        reports: what a map returned.
        trials: the trials of the batch, in their order.
    """
    expected = list(trials)
    keys: dict[Any, str] = {trial.number: trial.key for trial in expected}
    matched: dict[int, TrialReport] = {}
    cached = []
    for report in reports:
        if report is None:
            continue
        if keys.get(report.trial) == report.key and report.trial not in matched:
            matched[report.trial] = report
        else:
            cached.append(report)
    free: dict[str, list[int]] = {}
    for trial in reversed(expected):
        if trial.cached and trial.number not in matched:
            free.setdefault(trial.key, []).append(trial.number)
    for report in cached:
        if free.get(report.key):
            matched[free[report.key].pop()] = report
    return matched
