"""``SearchJournal``: the journal of a search, each record of which is checked like a field of a study's file."""

from __future__ import annotations

import functools
import json
import math
from dataclasses import dataclass, field
from typing import Any

from optuna.study import StudyDirection
from optuna.trial import TrialState

from flyteoptuna.errors import StudyFormatError
from flyteoptuna.journal import records as journal
from flyteoptuna.journal.backend import JournalObjectBackend
from flyteoptuna.journal.records import Record
from flyteoptuna.storage import file_limits
from flyteoptuna.storage.read_results import check_metric_names, parse_distribution
from flyteoptuna.storage.read_trials import check_attributes
from flyteoptuna.trial.marks import ENDED_ATTRIBUTE
from flyteoptuna.values.field_error import FieldError, check_field

# Id of the study, which the first record of a search's journal creates.
_STUDY_ID = 0
# Field of a parameter's value.
_VALUE = "param_value_internal"


class SearchJournal(JournalObjectBackend):
    """The journal of a search: its first record creates the only study, and a file can hold all that the others say."""

    def _check_records(self, records: list[Record], state: Any) -> Any:
        super()._check_records(records, state)
        known = state.for_next_entry() if state else _KnownStudy()
        for i, record in enumerate(records):
            try:
                known.add(record)
            except FieldError as error:
                raise FieldError(f"records[{i}].{error.where}", error.expected, error.found) from None
        return known


@dataclass
class _KnownStudy:
    """Study of a journal, as far as checks of further records need it. A copy is changed for each entry."""

    arity: int = 0  # number of directions; 0 before the study is created
    n_trials: int = 0
    # Ids of the trials that waited before the entry, a set that all copies share, and of those that the entry adds, and
    # of those that it begins. A set for each entry would take quadratic time.
    waiting: set[int] = field(default_factory=set)
    added: set[int] = field(default_factory=set)
    begun: set[int] = field(default_factory=set)

    def for_next_entry(self) -> _KnownStudy:
        """A copy for the entry that follows this one, which has been accepted."""
        # Again after an interrupt, both change nothing.
        self.waiting |= self.added
        self.waiting -= self.begun
        return _KnownStudy(self.arity, self.n_trials, self.waiting)

    def add(self, record: Record) -> None:
        """Check a record, and add what it says."""
        code = record["op_code"]
        if (code == journal.CREATE_STUDY) == bool(self.arity) or code == journal.DELETE_STUDY:
            raise FieldError("op_code", "that of a study's creation in the first record, and in no other one", code)
        if code == journal.CREATE_STUDY:
            self._create_study(record)
            return
        if "study_id" in record:
            check_field(record["study_id"] == _STUDY_ID, "study_id", f"{_STUDY_ID}, the only study", record["study_id"])
        else:
            valid = record["trial_id"] < self.n_trials
            check_field(valid, "trial_id", f"that of one of {self.n_trials} trials", record["trial_id"])
        if code == journal.CREATE_TRIAL:
            self._create_trial(record)
        elif code == journal.SET_TRIAL_STATE_VALUES:
            self._change_state(record)
        elif code == journal.SET_TRIAL_PARAM:
            _check_suggested(_VALUE, record[_VALUE], "distribution", record["distribution"])
        elif "user_attr" in record:
            check_attributes("user_attr", record["user_attr"])
        elif "system_attr" in record:
            self._check_system_attribute(record)

    def _create_study(self, record: Record) -> None:
        for i, direction in enumerate(record["directions"]):
            check_field(direction != StudyDirection.NOT_SET, f"directions[{i}]", "1 or 2", direction)
        self.arity = len(record["directions"])

    def _create_trial(self, record: Record) -> None:
        if self.n_trials >= file_limits.MAX_TRIALS:
            raise FieldError("op_code", f"that of at most {file_limits.MAX_TRIALS} new trials", record["op_code"])
        state = TrialState(record.get("state", TrialState.RUNNING))
        times = [("datetime_complete", state.is_finished())]
        if state != TrialState.WAITING:
            times.append(("datetime_start", True))
        for name, there in times:
            rule = f"{'there' if there else 'missing'}, for the trial is {state.name}"
            check_field((record.get(name) is not None) == there, name, rule, record.get(name))
        single = record.get("value")
        self._check_values(record.get("values") if single is None else [single], state)
        for name, text in record.get("distributions", {}).items():
            check_field(name in record.get("params", {}), f"distributions[{name!r}]", "that of a parameter", text)
            _check_suggested(f"params[{name!r}]", record["params"][name], f"distributions[{name!r}]", text)
        check_attributes("user_attrs", record.get("user_attrs", {}))
        check_attributes("system_attrs", record.get("system_attrs", {}), system=True)
        if state == TrialState.WAITING:
            self.added.add(self.n_trials)
        self.n_trials += 1

    def _change_state(self, record: Record) -> None:
        state, trial = TrialState(record["state"]), record["trial_id"]
        waits = (trial in self.waiting or trial in self.added) and trial not in self.begun
        valid = state == TrialState.RUNNING or (state.is_finished() and not waits)
        check_field(valid, "state", "RUNNING, or an end of a trial that has begun", state.name)
        self._check_values(record["values"], state)
        if waits:
            self.begun.add(trial)

    def _check_values(self, values: Any, state: TrialState) -> None:
        rule = f"for the trial is {state.name}"
        if values is None:
            check_field(state != TrialState.COMPLETE, "values", f"there, {rule}", values)
            return
        check_field(state.is_finished(), "values", f"null, {rule}", values)
        check_field(len(values) == self.arity, "values", f"as many as {self.arity} directions", values)
        has_nan = state == TrialState.COMPLETE and any(map(math.isnan, values))
        check_field(not has_nan, "values", f"without NaN, {rule}", values)

    def _check_system_attribute(self, record: Record) -> None:
        attribute = record["system_attr"]
        if "study_id" in record and ENDED_ATTRIBUTE in attribute:
            ended = attribute[ENDED_ATTRIBUTE]
            valid = type(ended) is list and [*map(type, ended)] == [str, bool]
            check_field(valid, f"system_attr[{ENDED_ATTRIBUTE!r}]", "a list of a string and a boolean", ended)
            return
        check_attributes("system_attr", attribute, system=True)
        if "study_id" in record:
            check_metric_names("system_attr", attribute, self.arity)


def _check_suggested(where: str, value: float, described: str, text: str) -> None:
    if problem := _distribution_problem(text):
        raise FieldError(described, problem, text)
    check_field(not math.isnan(value), where, "a number, not NaN", value)


@functools.lru_cache(maxsize=4096)
def _distribution_problem(text: str) -> str:
    """Rule that a distribution breaks, in words; empty for none."""
    try:
        parse_distribution("", json.loads(text))
    except FieldError as error:
        return f"a distribution as Optuna writes it: `{error.where}` is to be {error.expected}"
    except StudyFormatError as error:
        return f"a distribution as Optuna writes it: {error.__cause__}"
    return ""
