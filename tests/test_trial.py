"""What an objective returns or raises, as a report; and which trial a report belongs to."""

import dataclasses
import json
import math
import re

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyteoptuna import current_trial
from flyteoptuna.core.active_trial import ActiveTrial
from flyteoptuna.core.recording import outcome, recording
from flyteoptuna.core.report import TrialReport, cut, match, room


@given(st.one_of(st.none(), st.floats(), st.text(), st.lists(st.floats()), st.binary()), st.integers(1, 3))
def test_an_outcome_is_values_or_a_reason(result, arity):
    """Whatever comes back, there are either `arity` numbers or a reason."""
    values, error = outcome(result, arity)
    assert (len(values) == arity and not error and not any(map(math.isnan, values))) or (not values and error)


@pytest.mark.parametrize(
    ("result", "arity", "match"),
    [(None, 1, "returned None"), (math.nan, 1, "nan"), ("1", 1, "returned '1'"), (1.0, 2, r"2 value\(s\)")],
)
def test_reasons_name_the_value(result, arity, match):
    """A person reads what came back."""
    assert re.search(match, outcome(result, arity)[1])


def recorded(body, active=None, limit=150_000, passes=()):
    report = TrialReport(0, key="k")
    with recording(report, active or ActiveTrial(0), limit, passes) as returned:
        returned(body(), 1)
    return report


def test_an_exception_is_recorded_and_cut():
    """The type and the message lead, the note says what is missing, and the report stays small."""

    def body():
        raise ValueError("\u00e4" * 10_000)

    report = recorded(body, limit=500)
    assert report.state == "FAIL"
    assert report.error.startswith("ValueError: \u00e4\u00e4")
    assert "bytes, cut)" in report.error
    assert len(report.error.encode()) <= 500
    assert 0 < report.start <= report.end


@pytest.mark.parametrize("error", [SystemExit(3), RecursionError("deep"), ValueError()])
def test_whatever_an_objective_raises_is_its_own_failure(error):
    """Even an exit ends the one trial, not the process."""

    def body():
        raise error

    report = recorded(body)
    assert report.state == "FAIL"
    assert report.error.startswith(type(error).__name__)


def test_a_pruned_trial_keeps_its_intermediate_values():
    """`optuna.TrialPruned` is no failure."""

    def body():
        current_trial().report(0.5, 1)
        current_trial().report(0.25, 7)
        current_trial().report(9.0, 7)
        raise optuna.TrialPruned("enough")

    report = recorded(body, ActiveTrial(3))
    assert (report.state, report.error) == ("PRUNED", "TrialPruned: enough")
    assert (report.steps, report.intermediate) == ([1, 7], [0.5, 0.25])


def test_exceptions_that_flyte_retries_pass():
    """They are Flyte's to handle."""

    def body():
        raise KeyError

    with pytest.raises(KeyError):
        recorded(body, passes=(KeyError,))


def test_the_current_trial_is_a_stand_in_outside_a_search():
    """Nothing happens, and nothing is in the way of an objective that is called by hand."""
    trial = current_trial()
    trial.report(1.0, 0)
    trial.set_user_attr("a", 1)
    trial.set_constraint("c", 1)
    assert (trial.number, trial.params, trial.should_prune()) == (-1, {}, False)
    assert current_trial().user_attrs == {}


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda t: t.report("x", 0), "`value` must be a number, but got 'x'"),
        (lambda t: t.report(1.0, 1.5), "`step` must be an int, but got 1.5"),
        (lambda t: t.report(1.0, -1), r"`0 <= step < 2\*\*63` must hold, but got step=-1"),
        (lambda t: t.report(1.0, 2**63), r"`0 <= step < 2\*\*63` must hold, but got step=9223372036854775808"),
        (lambda t: t.set_user_attr("k", {1j}), "`k` must be something that JSON can hold"),
        (lambda t: t.set_constraint("c", "x"), "A constraint must be a number, but `c` is 'x'"),
        (lambda t: t.set_constraint("c", math.nan), "must not be NaN, but `c` is"),
    ],
)
def test_bad_calls_of_the_trial_name_the_rule(call, match):
    """The rule and the value stand in the message."""
    with pytest.raises((TypeError, ValueError), match=match):
        call(ActiveTrial())


@given(
    st.integers(1, 2_000),
    st.text(max_size=5_000),
    st.dictionaries(st.text(max_size=50), st.text(max_size=1_000), max_size=10),
    st.integers(0, 3_000),
)
def test_a_report_keeps_to_its_room(batch, error, attrs, steps):
    """Whatever an objective leaves, the parts of a report that it decides on fit, and JSON stays JSON."""
    active = ActiveTrial(0)
    for key, value in attrs.items():
        active.set_user_attr(key, value)
    for step in range(steps):
        active.report(step / 3, step)

    def body():
        raise ValueError(error)

    limit = room(batch)
    report = recorded(body, active, limit)
    size = len(report.error.encode()) + len(report.user_attrs) + 14 * len(report.steps)
    assert size <= limit + 200
    assert isinstance(json.loads(report.user_attrs), dict)
    if steps:
        assert report.steps[-1] == steps - 1 or not report.steps


@given(st.text(), st.integers(30, 100))
def test_a_cut_text_is_short_and_says_so(text, limit):
    """No text is cut in silence."""
    made = cut(text, limit)
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
    matched = match(shuffled, trials)
    assert all(report.values == [value[key]] for number, key in trials if (report := matched.get(number)))
    assert len(matched) == len(kept)
    assert sorted(key for number, key in trials if number not in matched) == sorted(lost)


def test_without_a_cache_a_report_lands_on_the_very_trial_that_it_names():
    """Two trials at one point may have two results."""
    reports = [TrialReport(1, key="a", values=[2.0]), TrialReport(0, key="a", values=[1.0])]
    assert {n: r.values for n, r in match(reports, [(0, "a"), (1, "a")]).items()} == {0: [1.0], 1: [2.0]}
