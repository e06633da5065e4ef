"""What an objective returns or raises, as a report."""

import math

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyteoptuna import current_trial
from flyteoptuna.trial.call_objective import VALUE, InvalidResultError, ObjectiveOutputs, check_result, record_trial
from flyteoptuna.trial.current_trial import ActiveTrial
from flyteoptuna.trial.report import TrialReport


def values_only(arity):
    """Of an objective that returns nothing but values."""
    return ObjectiveOutputs({f"o{index}": VALUE for index in range(arity)})


@given(st.one_of(st.none(), st.floats(), st.text(), st.lists(st.floats()), st.binary()), st.integers(1, 3))
def test_an_outcome_is_values_or_a_reason(result, arity):
    """Whatever comes back, there are either `arity` numbers or a reason."""
    try:
        values, numbers, stored = check_result(result, values_only(arity).kinds)
    except InvalidResultError as error:
        assert str(error)
    else:
        assert len(values) == arity and not any(map(math.isnan, values))
        assert not numbers and not stored


@pytest.mark.parametrize(
    ("result", "arity", "match"),
    [(None, 1, "returned None"), (math.nan, 1, "nan"), ("1", 1, "returned '1'"), (1.0, 2, r"2 value\(s\)")],
)
def test_reasons_name_the_value(result, arity, match):
    """A person reads what came back."""
    with pytest.raises(InvalidResultError, match=match):
        check_result(result, values_only(arity).kinds)


def recorded(body, active=None, limit=150_000, passes=()):
    report = TrialReport(0, key="k")
    with record_trial(report, active or ActiveTrial(0), limit, passes) as returned:
        returned(body(), values_only(1))
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


class Dull(optuna.TrialPruned):
    """A user's own reason to prune."""


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (optuna.TrialPruned(), ""),
        (optuna.TrialPruned("TrialPruned"), "TrialPruned"),
        (Dull(), "Dull"),
        (Dull("at 3"), "Dull: at 3"),
    ],
)
def test_the_reason_of_a_pruned_trial_does_not_repeat_its_state(error, reason):
    """It is the message, with the type of the exception only if that is the user's own."""

    def body():
        raise error

    report = recorded(body)
    assert (report.state, report.error) == ("PRUNED", reason)


def test_a_pruned_trial_keeps_its_intermediate_values():
    """`optuna.TrialPruned` is no failure."""

    def body():
        current_trial().report(0.5, 1)
        current_trial().report(0.25, 7)
        current_trial().report(9.0, 7)
        raise optuna.TrialPruned("enough")

    report = recorded(body, ActiveTrial(3))
    assert (report.state, report.error) == ("PRUNED", "enough")
    assert (report.steps, report.intermediate) == ([1, 7], [0.5, 0.25])


def test_exceptions_that_flyte_retries_pass():
    """They are Flyte's to handle."""

    def body():
        raise KeyError

    with pytest.raises(KeyError):
        recorded(body, passes=(KeyError,))
