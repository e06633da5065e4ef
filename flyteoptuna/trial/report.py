"""Handle and report of a trial: their fields, size limits, and matching reports to trials."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from flyteoptuna.trial.current_trial import ATTRIBUTE_PREFIX, ActiveTrial

# Maximum size of the reports of a batch together, bytes: Flyte reads at most 2 MiB of inline values.
MAX_BATCH_BYTES = 1_500_000
# Maximum size of an error in a report, bytes, however small the batch.
MAX_ERROR_BYTES = 4_000
# Maximum size of an intermediate value with its step, bytes.
POINT_BYTES = 14
# Size of a report without its error, attributes and intermediate values, bytes.
REPORT_OVERHEAD = 400
# User attribute of a failed or pruned trial: the reason.
ERROR_ATTRIBUTE = f"{ATTRIBUTE_PREFIX}error"
# User attribute of a trial: a note of what its report had no room for.
TRUNCATED_ATTRIBUTE = f"{ATTRIBUTE_PREFIX}cut"


@dataclass(frozen=True)
class TrialHandle:
    """A trial as its pod knows it, beside the objective's inputs."""

    number: int
    key: str  # digest of the trial's own inputs
    params: Mapping[str, Any]  # by their dotted paths
    byte_limit: int  # maximum size of the report's error, attributes and intermediate values together, bytes
    prunes: bool  # whether the study has a pruner
    directions: list[str]  # names of the study's directions


@dataclass
class TrialReport:
    """The outcome of one call of the objective."""

    trial: int  # number of the trial of the call; a cached report names the trial of an earlier search
    key: str = ""  # digest of the inputs of the call
    state: str = "FAIL"  # COMPLETE, PRUNED or FAIL, as in `optuna.trial.TrialState`
    values: list[float] = field(default_factory=list)  # one a direction; empty unless the trial is complete
    start: float = 0.0  # seconds since the epoch
    end: float = 0.0  # seconds since the epoch
    error: str = ""  # why the trial failed or was pruned
    steps: list[int] = field(default_factory=list)  # of the intermediate values, in the order of reporting
    intermediate: list[float] = field(default_factory=list)  # the intermediate values, one a step
    user_attrs: str = "{}"  # as a JSON object
    system_attrs: str = "{}"  # Optuna's attributes, constraints and a pruner's rungs, as a JSON object
    pruner: str = ""  # the pickled pruner as text, where it has learned in the trial; see `study.pruner_state`
    outputs: dict[str, bytes] = field(default_factory=dict)  # stored outputs by name, as Flyte's literals

    def discard_result(self, state: str, reason: str) -> None:
        """End the trial as FAIL or PRUNED, without values and outputs."""
        self.state, self.error, self.values, self.outputs = state, reason, [], {}


class ReportingTrial(NamedTuple):
    """Trial that has to send a report: its number, and the key of its inputs."""

    number: int
    key: str  # digest of its inputs
    cached: bool = False  # whether its report may come from Flyte's cache, written by an earlier trial


def report_byte_limit(batch: int) -> int:
    """Maximum size of the error, attributes and intermediate values of one report in a batch, bytes."""
    return max(MAX_BATCH_BYTES // batch - REPORT_OVERHEAD, 0)


def truncate_utf8(text: str, limit: int) -> str:
    """Cut a text to ``limit`` bytes of UTF-8, with a note of its original size, as ``... (1200 bytes, cut)``."""
    data = text.encode(errors="replace")
    if len(data) <= limit:
        return data.decode()
    note = f" ... ({len(data)} bytes, cut)"
    return (data[: max(limit - len(note), 0)].decode(errors="ignore") + note)[:limit]


def fill_report(report: TrialReport, active: ActiveTrial, limit: int) -> None:
    """Copy the attributes and intermediate values of a trial into its report, cut to ``limit`` bytes.

    A note in the report says what is missing. System attributes, such as constraints, are never cut: where they do not
    fit, the trial fails.
    """
    intermediate, user_attrs, system_attrs = active.close()
    report.system_attrs = json.dumps(system_attrs)
    if (size := len(report.system_attrs)) > limit + REPORT_OVERHEAD // 2:
        reason = f"The constraints of the trial take {size} bytes, but its report has room for {limit}."
        report.discard_result("FAIL", f"{reason} Choose a smaller `batch_size`.")
        report.system_attrs = "{}"
    shares = 3 if user_attrs or intermediate else 1
    report.error = truncate_utf8(report.error, min(MAX_ERROR_BYTES, limit // shares))
    room = max(limit - len(report.error.encode()) - len(report.system_attrs), 0)
    notes = []
    for name, output in sorted(report.outputs.items(), key=lambda item: len(item[1])):
        if len(output) <= room:
            room -= len(output)
            continue
        del report.outputs[name]
        notes.append(f"the output `{name}` was too large, {len(output)} bytes")
        warnings.warn(
            f"The output `{name}` takes {len(output)} bytes in the report of its trial, which has room for {room}, and "
            "is not kept. Return it as a FlyteFile, or choose a smaller `batch_size`.",
            UserWarning,
            stacklevel=2,
        )
    members, dropped = _fit_attributes(user_attrs, room // 2)
    notes += [f"{dropped} user attributes were too large"] if dropped else []
    points = list(intermediate.items())
    every = max(-(-len(points) * POINT_BYTES // max(room // 2, 1)), 1)
    if every > 1:
        # Counted from the end, because pruners and people look at the last value first.
        points = points[::-1][::every][::-1]
        notes.append(f"of the intermediate values, one in {every} is kept")
    if notes:
        members.append(f"{json.dumps(TRUNCATED_ATTRIBUTE)}: {json.dumps('; '.join(notes))}")
    report.user_attrs = f"{{{', '.join(members)}}}"
    report.steps, report.intermediate = [step for step, _ in points], [value for _, value in points]


def _fit_attributes(attrs: dict[str, str | None], limit: int) -> tuple[list[str], int]:
    """Members of a JSON object of at most ``limit`` bytes, the smallest ones first, and the number of those dropped."""
    members = {key: f"{json.dumps(key)}: {text}" for key, text in attrs.items() if text is not None}
    fitting, size = set[str](), 2
    for key in sorted(members, key=lambda key: len(members[key])):
        size += len(members[key]) + 2
        if size > limit + 2:
            break
        fitting.add(key)
    return [member for key, member in members.items() if key in fitting], len(attrs) - len(fitting)


def match_reports(reports: Iterable[TrialReport | None], trials: Iterable[ReportingTrial]) -> dict[int, TrialReport]:
    """Assign the reports of a map to the trials of its batch, by the number of the trial.

    A report belongs to the trial that it names if their keys agree. Any other report is taken for a cached one, of an
    earlier trial at the same point: it goes to the first trial with the same key that has no report and is cached.
    Positions in the list carry no meaning, because Flyte may drop an element.
    """
    expected = list(trials)
    keys = {trial.number: trial.key for trial in expected}
    matched: dict[int, TrialReport] = {}
    cached = []
    for report in filter(None, reports):
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
