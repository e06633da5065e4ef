"""Records of a journal, Optuna's log operations, and their check: Optuna applies them as they are."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeAlias

from optuna.distributions import BaseDistribution, CategoricalDistribution, json_to_distribution
from optuna.study import StudyDirection
from optuna.trial import TrialState

from flyteoptuna.values.field_error import FieldError, check_field
from flyteoptuna.values.text import exception_line

Record: TypeAlias = dict[str, Any]
_Check: TypeAlias = Callable[[str, Any], None]

# Codes of Optuna's operations.
CREATE_STUDY, DELETE_STUDY, SET_STUDY_USER_ATTR, SET_STUDY_SYSTEM_ATTR, CREATE_TRIAL, SET_TRIAL_PARAM = range(6)
SET_TRIAL_STATE_VALUES, SET_TRIAL_INTERMEDIATE_VALUE, SET_TRIAL_USER_ATTR, SET_TRIAL_SYSTEM_ATTR = range(6, 10)
# Exclusive bound of ids, and of the absolute values of steps.
_BOUND = 2**63
# Maximum number of directions.
_MAX_DIRECTIONS = 100
# Numbers of directions and states.
_DIRECTIONS, _STATES = {*map(int, StudyDirection)}, {*map(int, TrialState)}


def check_record(record: Record) -> None:
    """Check the fields of a record by themselves, so that no storage raises when it applies the record.

    Raises:
        FieldError: a field is missing, unknown, or has a value that Optuna cannot apply.
    """
    code = record.get("op_code")
    if type(code) is not int or code not in _FIELDS:
        raise FieldError("op_code", f"an integer from 0 to {max(_FIELDS)}", code)
    required, optional = _FIELDS[code]
    if unknown := record.keys() - required.keys() - optional.keys() - {"op_code", "worker_id"}:
        raise FieldError(min(unknown), f"missing, for the operation {code} has no such field", record[min(unknown)])
    for name, check in required.items():
        if name not in record:
            raise FieldError(name, f"there, for the operation is {code}", None)
        check(name, record[name])
    for name in optional.keys() & record.keys():
        optional[name](name, record[name])
    if code in _RULES:
        _RULES[code](record)


def _check_id(where: str, value: Any) -> None:
    check_field(type(value) is int and 0 <= value < _BOUND, where, "an integer of at least 0", value)


def _check_text(where: str, value: Any) -> None:
    check_field(type(value) is str, where, "a string", value)


def _check_object(where: str, value: Any) -> None:
    check_field(type(value) is dict, where, "an object", value)


def _check_attribute(where: str, value: Any) -> None:
    check_field(type(value) is dict and len(value) == 1, where, "an object of one attribute", value)


def _check_float(where: str, value: Any) -> None:
    try:
        valid = type(value) in {int, float, bool} and isinstance(float(value), float)
    except OverflowError:
        valid = False
    check_field(valid, where, "a number within the range of floats", value)


def _check_optional_float(where: str, value: Any) -> None:
    if value is not None:
        _check_float(where, value)


def _check_floats(where: str, value: Any) -> None:
    if value is None:
        return
    check_field(type(value) is list, where, "null or a list of numbers", value)
    for i, number in enumerate(value):
        _check_float(f"{where}[{i}]", number)


def _check_directions(where: str, value: Any) -> None:
    check_field(type(value) is list and 0 < len(value) <= _MAX_DIRECTIONS, where, "a list of directions", value)
    for i, direction in enumerate(value):
        valid = type(direction) is int and direction in _DIRECTIONS
        check_field(valid, f"{where}[{i}]", "the number of a direction", direction)


def _check_state(where: str, value: Any) -> None:
    check_field(type(value) is int and value in _STATES, where, "the number of a state of trials", value)


def _check_time(where: str, value: Any) -> None:
    try:
        # As Optuna converts it.
        datetime.fromisoformat(value).astimezone()
    except (TypeError, ValueError, OverflowError, OSError):
        raise FieldError(where, "a time in ISO 8601", value) from None


def _check_optional_time(where: str, value: Any) -> None:
    if value is not None:
        _check_time(where, value)


def _check_step(where: str, value: Any) -> None:
    # Without a bound, a journal could choose steps with equal hashes, which take quadratic time.
    check_field(type(value) is int and -_BOUND < value < _BOUND, where, "an integer of 64 bits", value)


def _check_steps(where: str, value: Any) -> None:
    _check_object(where, value)
    for step, number in value.items():
        try:
            found: Any = int(step)
        except ValueError:
            found = step
        _check_step(where, found if str(found) == step else step)
        _check_float(f"{where}[{step!r}]", number)


def _check_distributions(where: str, value: Any) -> None:
    _check_object(where, value)
    for name, text in value.items():
        _check_distribution(f"{where}[{name!r}]", text)


def _check_distribution(where: str, value: Any) -> None:
    _check_text(where, value)
    try:
        _parse_distribution(value)
    except Exception as error:
        # Its constructors raise any type.
        raise FieldError(where, f"a distribution as JSON ({exception_line(error, 200)})", value) from None


@functools.lru_cache(maxsize=4096)
def _parse_distribution(text: str) -> BaseDistribution:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return json_to_distribution(text)


def _check_internal_value(where: str, value: Any, text: str) -> None:
    """Check the internal value of a parameter against its distribution."""
    _check_float(where, value)
    distribution = _parse_distribution(text)
    if isinstance(distribution, CategoricalDistribution):
        valid = 0 <= value < len(distribution.choices)
        check_field(valid, where, f"an index from 0 to {len(distribution.choices) - 1}", value)
    try:
        distribution.to_external_repr(value)
    except (ValueError, ArithmeticError):
        raise FieldError(where, "a number that its distribution has", value) from None


def _check_param_record(record: Record) -> None:
    _check_internal_value("param_value_internal", record["param_value_internal"], record["distribution"])


def _check_times_of_state(record: Record) -> None:
    state = TrialState(record["state"])
    needed = "datetime_start" if state == TrialState.RUNNING else "datetime_complete" if state.is_finished() else None
    if needed is not None and needed not in record:
        raise FieldError(needed, f"there, for the state is {state.name}", None)


def _check_new_trial(record: Record) -> None:
    distributions = record.get("distributions", {})
    for name, value in record.get("params", {}).items():
        check_field(name in distributions, f"params[{name!r}]", "a parameter with a distribution", value)
        _check_internal_value(f"params[{name!r}]", value, distributions[name])
    if record.get("value") is not None and record.get("values") is not None:
        raise FieldError("values", "null, for the trial has a `value`", record["values"])


_PARAM: dict[str, _Check] = {
    "param_name": _check_text,
    "distribution": _check_distribution,
    "param_value_internal": _check_float,
}
_STUDY: dict[str, _Check] = {"study_id": _check_id}
_TRIAL: dict[str, _Check] = {"trial_id": _check_id}
_NEW_TRIAL: dict[str, _Check] = {
    "state": _check_state,
    "value": _check_optional_float,
    "values": _check_floats,
    "datetime_complete": _check_time,
    "distributions": _check_distributions,
    "params": _check_object,
    "user_attrs": _check_object,
    "system_attrs": _check_object,
    "intermediate_values": _check_steps,
}
# Required and optional fields of each operation.
_FIELDS: Mapping[int, tuple[dict[str, _Check], dict[str, _Check]]] = {
    CREATE_STUDY: ({"study_name": _check_text, "directions": _check_directions}, {}),
    DELETE_STUDY: (_STUDY, {}),
    SET_STUDY_USER_ATTR: ({**_STUDY, "user_attr": _check_attribute}, {}),
    SET_STUDY_SYSTEM_ATTR: ({**_STUDY, "system_attr": _check_attribute}, {}),
    CREATE_TRIAL: ({**_STUDY, "datetime_start": _check_optional_time}, _NEW_TRIAL),
    SET_TRIAL_PARAM: ({**_TRIAL, **_PARAM}, {}),
    SET_TRIAL_STATE_VALUES: (
        {**_TRIAL, "state": _check_state, "values": _check_floats},
        {"datetime_start": _check_time, "datetime_complete": _check_time},
    ),
    SET_TRIAL_INTERMEDIATE_VALUE: ({**_TRIAL, "step": _check_step, "intermediate_value": _check_float}, {}),
    SET_TRIAL_USER_ATTR: ({**_TRIAL, "user_attr": _check_attribute}, {}),
    SET_TRIAL_SYSTEM_ATTR: ({**_TRIAL, "system_attr": _check_attribute}, {}),
}
# Rules of several fields.
_RULES: Mapping[int, Callable[[Record], None]] = {
    CREATE_TRIAL: _check_new_trial,
    SET_TRIAL_PARAM: _check_param_record,
    SET_TRIAL_STATE_VALUES: _check_times_of_state,
}
