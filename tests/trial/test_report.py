"""How much a report holds, and which trial it belongs to."""

import dataclasses
import json

from hypothesis import given
from hypothesis import strategies as st

from flyteoptuna.trial.call_objective import STORED, VALUE, ObjectiveOutputs, record_trial
from flyteoptuna.trial.check_report import parse_report
from flyteoptuna.trial.current_trial import ATTRIBUTE_PREFIX, ActiveTrial
from flyteoptuna.trial.report import ReportingTrial, TrialReport, match_reports, report_byte_limit, truncate_utf8

# Hypothesis draws texts of the code too, and with one of them the names of the library's own attributes begin.
NAMES = st.text(max_size=50).filter(lambda name: not name.startswith(ATTRIBUTE_PREFIX))


@given(
    st.integers(1, 2_000),
    st.text(max_size=5_000),
    st.dictionaries(NAMES, st.text(max_size=1_000), max_size=10),
    st.integers(0, 3_000),
)
def test_a_report_keeps_to_its_room(batch, error, attrs, steps):
    """Whatever an objective leaves, the parts of a report that it decides on fit, and JSON stays JSON."""
    active = ActiveTrial(0)
    for key, value in attrs.items():
        active.set_user_attr(key, value)
    for step in range(steps):
        active.report(step / 3, step)
    report, limit = TrialReport(0, key="k"), report_byte_limit(batch)
    with record_trial(report, active, limit):
        raise ValueError(error)
    size = len(report.error.encode()) + len(report.user_attrs) + 14 * len(report.steps)
    assert size <= limit + 200
    assert isinstance(json.loads(report.user_attrs), dict)
    if steps:
        assert report.steps[-1] == steps - 1 or not report.steps


def test_a_trial_that_fails_for_its_constraints_keeps_no_outputs():
    """Its reason is the constraints, not a report that breaks a rule."""
    active, report = ActiveTrial(0), TrialReport(0, key="k")
    for index in range(100):
        active.set_constraint(f"constraint {index}", 0.0)
    outputs = ObjectiveOutputs({"value": VALUE, "model": STORED}, lambda name, value: b"model")
    with record_trial(report, active, 500) as record_result:
        record_result((1.0, object()), outputs)
    assert (report.state, report.values, report.outputs) == ("FAIL", [], {})
    assert parse_report(dataclasses.asdict(report)).error.startswith("The constraints of the trial take ")


@given(st.text(), st.integers(30, 100))
def test_a_cut_text_is_short_and_says_so(text, limit):
    """No text is cut in silence."""
    made = truncate_utf8(text, limit)
    assert len(made.encode()) <= limit
    assert made == text or "cut)" in made


@given(st.data())
def test_every_report_lands_on_its_own_trial(data):
    """Dropped, doubled, shifted, shuffled, empty and cached reports change nothing about whose values they are."""
    points = data.draw(st.lists(st.sampled_from("abc"), min_size=1, max_size=8))
    trials = list(enumerate(points, start=data.draw(st.integers(0, 50))))
    value = {"a": 1.0, "b": 2.0, "c": 3.0}
    sent = [TrialReport(n, key=key, values=[value[key]]) for n, key in trials]
    cached = data.draw(st.lists(st.booleans(), min_size=len(sent), max_size=len(sent)))
    sent = [
        dataclasses.replace(r, trial=data.draw(st.integers(0, 60))) if was else r
        for r, was in zip(sent, cached, strict=True)
    ]
    kept = data.draw(st.lists(st.sampled_from(range(len(sent))), unique=True))
    lost = [key for index, (_, key) in enumerate(trials) if index not in kept]
    shuffled = data.draw(st.permutations([sent[i] for i in kept] + [None] * data.draw(st.integers(0, 2))))
    matched = match_reports(shuffled, [ReportingTrial(number, key, cached=True) for number, key in trials])
    assert all(report.values == [value[key]] for number, key in trials if (report := matched.get(number)))
    assert len(matched) == len(kept)
    assert sorted(key for number, key in trials if number not in matched) == sorted(lost)


def test_without_a_cache_a_report_lands_on_the_very_trial_that_it_names():
    """Two trials at one point may have two results."""
    reports = [TrialReport(1, key="a", values=[2.0]), TrialReport(0, key="a", values=[1.0])]
    assert {
        n: r.values for n, r in match_reports(reports, [ReportingTrial(0, "a"), ReportingTrial(1, "a")]).items()
    } == {
        0: [1.0],
        1: [2.0],
    }
