"""Check the fields of a trial's report: an invalid report FAILs its trial, with the reason."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from flyteoptuna.trial.current_trial import ATTRIBUTE_PREFIX
from flyteoptuna.trial.report import TRUNCATED_ATTRIBUTE, TrialReport
from flyteoptuna.values.field_error import FieldError, check_field
from flyteoptuna.values.text import exception_line

# Latest time of a report, the year 2100, seconds since the epoch.
MAX_TIME = 4_102_444_800.0
STATES = ("COMPLETE", "PRUNED", "FAIL")
# Number of the trial of a report that does not name it.
UNKNOWN_TRIAL = -1


def parse_report(fields: Any, number: int = UNKNOWN_TRIAL, key: str = "") -> TrialReport:
    """The report with the given fields; for an invalid field, the report of a failure. Never raises.

    ``number`` and ``key``, if known, name the trial of the failure; otherwise the fields do.
    """
    if isinstance(fields, Mapping):
        number = fields["trial"] if number == UNKNOWN_TRIAL and _is_index(fields.get("trial")) else number
        key = fields["key"] if not key and isinstance(fields.get("key"), str) else key
    try:
        return _parse_fields(fields)
    except FieldError as error:
        reason = str(error)
    except Exception as error:
        reason = exception_line(error)
    sender = "" if number == UNKNOWN_TRIAL else f" of trial {number}"
    return TrialReport(number, key, error=f"Invalid report{sender}: {reason}")


def _parse_fields(fields: Any) -> TrialReport:
    check_field(isinstance(fields, Mapping), "report", "an object", fields)
    for name in fields:
        check_field(name in FIELD_RULES, "report", "without unknown fields", name)
    for name, (rule, is_valid) in FIELD_RULES.items():
        check_field(is_valid(fields.get(name)), name, rule, fields.get(name))
    report = TrialReport(**fields)
    report.values = _numbers(report.values, "values", nan=False)
    report.intermediate = _numbers(report.intermediate, "intermediate")
    for index, step in enumerate(report.steps):
        check_field(_is_index(step), f"steps[{index}]", "a step from 0 to 2**63", step)
    different = len({*report.steps}) == len(report.steps) == len(report.intermediate)
    check_field(different, "steps", f"as many different steps as {len(report.intermediate)} values", report.steps)
    note = _parse_attributes(report.user_attrs, "user_attrs").get(TRUNCATED_ATTRIBUTE, "")
    check_field(isinstance(note, str), f"user_attrs[{TRUNCATED_ATTRIBUTE!r}]", "text", note)
    for key, item in _parse_attributes(report.system_attrs, "system_attrs").items():
        where = f"system_attrs[{key!r}]"
        if key.startswith(("constraints:", "completed_rung_")):
            check_field(not math.isnan(_number(item, where)), where, "without NaN", item)
        elif key == "constraints":
            check_field(isinstance(item, list), where, "a list", item)
            _numbers(item, where, nan=False)
    for key, data in report.outputs.items():
        valid = isinstance(key, str) and isinstance(data, bytes)
        check_field(valid, f"outputs[{key!r}]", "bytes under a text", data)
    has_values = bool(report.values) or report.state != "COMPLETE"
    check_field(has_values, "values", "at least one number where the trial is COMPLETE", [])
    without_outputs = report.state != "FAIL" or not report.outputs
    check_field(without_outputs, "outputs", "empty where the trial has failed", [*report.outputs])
    return report


def _is_index(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _number(value: Any, where: str) -> float:
    check_field(type(value) in (int, float), where, "a number", value)
    try:
        return float(value)
    except OverflowError:
        raise FieldError(where, "in the range of floats", value) from None


def _numbers(values: list[Any], where: str, *, nan: bool = True) -> list[float]:
    numbers = [_number(item, f"{where}[{index}]") for index, item in enumerate(values)]
    check_field(nan or not any(map(math.isnan, numbers)), where, "without NaN", values)
    return numbers


def _parse_attributes(text: str, name: str) -> dict[str, Any]:
    try:
        attributes = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FieldError(name, f"JSON ({exception_line(error)})", text) from None
    check_field(isinstance(attributes, dict), name, "a JSON object", attributes)
    for key in attributes:
        own = key.startswith(ATTRIBUTE_PREFIX) and key != TRUNCATED_ATTRIBUTE
        check_field(not own, name, f"without names that begin with `{ATTRIBUTE_PREFIX}`", key)
    return dict(attributes)


_TEXT_FIELDS = ("key", "error", "user_attrs", "system_attrs", "pruner")
# Rule and check of each field of a report; a missing field counts as None.
FIELD_RULES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "trial": ("the number of a trial", _is_index),
    "state": (f"one of {', '.join(STATES)}", lambda value: value in STATES),
    **dict.fromkeys(
        ("start", "end"),
        ("seconds since the epoch, until 2100", lambda value: type(value) in (int, float) and 0 <= value <= MAX_TIME),
    ),
    **dict.fromkeys(_TEXT_FIELDS, ("text", lambda value: isinstance(value, str))),
    **dict.fromkeys(("values", "steps", "intermediate"), ("a list", lambda value: isinstance(value, list))),
    "outputs": ("an object", lambda value: isinstance(value, dict)),
}
