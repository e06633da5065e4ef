"""A report that is not as it must be fails its own trial, and says what was wrong."""

import dataclasses
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyteoptuna.trial.check_report import STATES, UNKNOWN_TRIAL, parse_report
from flyteoptuna.trial.report import ReportingTrial, TrialReport, match_reports

GOOD = dataclasses.asdict(TrialReport(3, "key", "COMPLETE", [1.0], 5.0, 6.0, "", [0, 1], [0.5, 0.25]))
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def test_a_good_report_is_read_as_it_is():
    """Nothing is changed."""
    assert dataclasses.asdict(parse_report(GOOD)) == GOOD


@pytest.mark.parametrize(
    ("field", "value", "match"),
    [
        ("values", None, "`values` must be a list, but got None"),
        ("values", "1.0", "`values` must be a list, but got '1.0'"),
        ("values", 5.0, r"`values` must be a list, but got 5\.0"),
        ("values", [True], r"`values\[0\]` must be a number, but got True"),
        ("values", [math.nan], "`values` must be without NaN"),
        ("values", [10**400], r"`values\[0\]` must be in the range of floats"),
        ("values", [], "at least one number where the trial is COMPLETE"),
        ("state", "DONE", "`state` must be one of COMPLETE, PRUNED, FAIL, but got 'DONE'"),
        ("start", math.nan, "`start` must be seconds since the epoch"),
        ("end", 1e300, "`end` must be seconds since the epoch"),
        ("error", 5, "`error` must be text"),
        ("steps", [0], "as many different steps"),
        ("steps", [0, 0], "as many different steps"),
        ("steps", [0, -1], r"`steps\[1\]` must be a step"),
        ("steps", [0, 2**63], r"`steps\[1\]` must be a step"),
        ("intermediate", [0.0, "x"], r"`intermediate\[1\]` must be a number"),
        ("user_attrs", '{"a": ', "`user_attrs` must be JSON"),
        ("user_attrs", "[" * 100_000, "`user_attrs` must be JSON"),
        ("user_attrs", "[]", "`user_attrs` must be a JSON object"),
        ("user_attrs", '{"flyteoptuna:error": "x"}', "without names that begin with `flyteoptuna:`"),
        ("user_attrs", '{"flyteoptuna:cut": []}', "must be text"),
        ("system_attrs", '{"flyteoptuna:trial": {}}', "without names that begin with `flyteoptuna:`"),
        ("system_attrs", '{"constraints:c": "x"}', r"`system_attrs\['constraints:c'\]` must be a number"),
        ("system_attrs", '{"completed_rung_0": null}', "must be a number"),
        ("pruner", 3, "`pruner` must be text"),
        ("more", 3, "without unknown fields, but got 'more'"),
    ],
)
def test_each_field_names_its_rule(field, value, match):
    """The trial fails, and is still known."""
    report = parse_report({**GOOD, field: value})
    assert (report.trial, report.key, report.state, report.values) == (3, "key", "FAIL", [])
    with pytest.raises(RuntimeError, match=match):
        raise RuntimeError(report.error)


@given(st.sampled_from(list(GOOD)))
def test_a_field_that_is_missing_is_named(name):
    """Half a report is none."""
    report = parse_report({key: value for key, value in GOOD.items() if key != name})
    assert report.state == "FAIL"
    assert f"`{name}` must be " in report.error
    assert "but got None" in report.error


@given(ANYTHING | st.dictionaries(st.sampled_from([*GOOD, "more"]), ANYTHING).map(lambda wrong: {**GOOD, **wrong}))
def test_whatever_arrives_is_a_report(fields):
    """Each of its fields is as it must be, so that telling it raises nothing."""
    report = parse_report(fields)
    assert report.state in STATES
    assert report.trial == UNKNOWN_TRIAL or 0 <= report.trial < 2**63
    assert all(isinstance(value, float) and not math.isnan(value) for value in report.values)
    assert len(report.steps) == len(report.intermediate)
    assert isinstance(json.loads(report.user_attrs), dict)


def test_a_report_under_another_trials_key_is_told_to_neither_unless_it_was_cached():
    """What names one trial and carries the key of another is nobody's."""
    reports = [TrialReport(0, "b", "COMPLETE", [1.0])]
    assert match_reports(reports, [ReportingTrial(0, "a"), ReportingTrial(1, "b")]) == {}
    assert match_reports(reports, [ReportingTrial(0, "a", True), ReportingTrial(1, "b", True)]).keys() == {1}
