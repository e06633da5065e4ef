"""The trial as an objective sees it."""

import math

import pytest

from flyteoptuna import current_trial
from flyteoptuna.core.trial.current_trial import ActiveTrial


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
        (lambda t: t.report(1.0, "x"), "`step` must be an int, but got 'x'"),
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
