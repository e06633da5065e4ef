"""A report as it arrives, read field by field: one that is not as it must be FAILs its trial, and says why."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from flyteoptuna.core.plain_values import said, shown
from flyteoptuna.core.trial.current_trial import OWN
from flyteoptuna.core.trial.report import CUT_ATTRIBUTE, TrialReport

LATEST = 4_102_444_800.0
"""The year 2100, in seconds since the epoch: the latest time of a report."""

STATES = ("COMPLETE", "PRUNED", "FAIL")

UNKNOWN = -1
"""Number of the trial of a report that does not say it."""


class _Wrong(Exception):
    """A field that is not as it must be."""


def read_report(fields: Any, number: int = UNKNOWN, key: str = "") -> TrialReport:
    """The report that fields describe; total over all of them.

    Args:
        fields: what arrived, which may be anything.
        number: the trial that must have sent it; ``UNKNOWN`` where the report itself has to say it.
        key: the key of that trial.

    Returns:
        The report. Where something is wrong, one of a failure, of the trial that the fields name if they do.
    """
    if isinstance(fields, Mapping):
        number = fields["trial"] if number == UNKNOWN and _index(fields.get("trial")) else number
        key = fields["key"] if isinstance(fields.get("key"), str) else key
    try:
        return _checked(fields)
    except _Wrong as wrong:
        why = str(wrong)
    except Exception as error:
        why = said(error)
    return TrialReport(number, key, error=f"The report of the trial is not as it must be: {why}")


def _checked(fields: Any) -> TrialReport:
    if not isinstance(fields, Mapping):
        raise _Wrong(f"it must be an object, but is {shown(fields)}.")
    names = [field.name for field in dataclasses.fields(TrialReport)]
    for name in fields:
        if name not in names:
            raise _Wrong(f"it has an unknown field {shown(name)}.")
    made = {name: CHECKS[name](_there(fields, name), name) for name in names}
    report = TrialReport(**made)
    if report.state == "COMPLETE" and not report.values:
        raise _Wrong("its trial is COMPLETE, but it has no values.")
    if report.state == "FAIL" and report.outputs:
        raise _Wrong("its trial has failed, but it has outputs.")
    if len(report.steps) != len(report.intermediate) or len(set(report.steps)) != len(report.steps):
        raise _Wrong(
            f"it must have as many different steps as intermediate values, but it has {len(set(report.steps))} of "
            f"{len(report.steps)} steps and {len(report.intermediate)} values."
        )
    return report


def _there(fields: Mapping[str, Any], name: str) -> Any:
    if name not in fields:
        raise _Wrong(f"it has no field `{name}`.")
    return fields[name]


def _expect(right: bool, name: str, rule: str, value: Any) -> None:
    if not right:
        raise _Wrong(f"`{name}` must be {rule}, but is {shown(value)} ({type(value).__name__}).")


def _index(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _number(value: Any, name: str) -> float:
    _expect(type(value) in (int, float), name, "a number", value)
    try:
        return float(value)
    except OverflowError:
        raise _Wrong(f"`{name}` must be in the range of floats, but is {shown(value)}.") from None


def _trial(value: Any, name: str) -> int:
    _expect(_index(value), name, "the number of a trial", value)
    return int(value)


def _text(value: Any, name: str) -> str:
    _expect(isinstance(value, str), name, "text", value)
    return str(value)


def _state(value: Any, name: str) -> str:
    _expect(isinstance(value, str) and value in STATES, name, f"one of {', '.join(STATES)}", value)
    return str(value)


def _time(value: Any, name: str) -> float:
    _expect(0 <= _number(value, name) <= LATEST, name, "seconds since the epoch, until 2100", value)
    return float(value)


def _list(value: Any, name: str) -> list[Any]:
    _expect(isinstance(value, (list, tuple)), name, "a list", value)
    return list(value)


def _values(value: Any, name: str) -> list[float]:
    found = [_number(item, f"{name}[{index}]") for index, item in enumerate(_list(value, name))]
    _expect(not any(map(math.isnan, found)), name, "without NaN", value)
    return found


def _intermediate(value: Any, name: str) -> list[float]:
    return [_number(item, f"{name}[{index}]") for index, item in enumerate(_list(value, name))]


def _steps(value: Any, name: str) -> list[int]:
    for index, item in enumerate(_list(value, name)):
        _expect(_index(item), f"{name}[{index}]", "a step from 0 to 2**63", item)
    return [*value]


def _attrs(value: Any, name: str) -> dict[str, Any]:
    try:
        found = json.loads(_text(value, name))
    except (ValueError, RecursionError) as error:
        raise _Wrong(f"`{name}` must be JSON, but is {shown(value)} ({said(error)}).") from None
    _expect(isinstance(found, dict), name, "a JSON object", found)
    for key in found:
        _expect(key == CUT_ATTRIBUTE or not key.startswith(OWN), name, f"without names that begin with `{OWN}`", key)
    return dict(found)


def _user_attrs(value: Any, name: str) -> str:
    note = _attrs(value, name).get(CUT_ATTRIBUTE, "")
    _expect(isinstance(note, str), f"{name}[{CUT_ATTRIBUTE!r}]", "text", note)
    return str(value)


def _system_attrs(value: Any, name: str) -> str:
    for key, item in _attrs(value, name).items():
        if key.startswith(("constraints:", "completed_rung_")):
            number = _number(item, f"{name}[{key!r}]")
            _expect(not math.isnan(number), f"{name}[{key!r}]", "without NaN", item)
        elif key == "constraints":
            _values(item, f"{name}[{key!r}]")
    return str(value)


def _outputs(value: Any, name: str) -> dict[str, bytes]:
    _expect(isinstance(value, Mapping), name, "an object", value)
    for key, item in value.items():
        _expect(isinstance(key, str) and isinstance(item, bytes), f"{name}[{key!r}]", "bytes under a text", item)
    return dict(value)


CHECKS: dict[str, Callable[[Any, str], Any]] = {
    "trial": _trial,
    "key": _text,
    "state": _state,
    "values": _values,
    "start": _time,
    "end": _time,
    "error": _text,
    "steps": _steps,
    "intermediate": _intermediate,
    "user_attrs": _user_attrs,
    "system_attrs": _system_attrs,
    "pruner": _text,
    "outputs": _outputs,
}
"""What each field of a report must be: the value as it is kept, or ``_Wrong``."""
