"""What an objective returns or raises, as a report."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyteoptuna.trial import ERROR_LIMIT, TrialReport, outcome, recorded


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


def test_an_exception_is_recorded_and_cut():
    """The type and the message lead, and the report stays small."""
    report = TrialReport(0)
    with recorded(report):
        raise ValueError("x" * 10_000)
    assert report.error.startswith("ValueError: xxx")
    assert len(report.error) <= ERROR_LIMIT
    assert report.start <= report.end


def test_exceptions_that_flyte_retries_pass():
    """They are Flyte's to handle."""
    with pytest.raises(KeyError), recorded(TrialReport(0), (KeyError,)):
        raise KeyError
