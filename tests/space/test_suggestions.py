"""Suggestions: what is refused, and what is not."""

import math

import pytest

from flyteoptuna import SpaceError, suggest


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: suggest.float(2, 1), r"`low <= high` must hold, but got \(low=2, high=1\)"),
        (lambda: suggest.float(math.nan, 1), "`low` of suggest.float must be finite, but got nan"),
        (lambda: suggest.float(0, math.inf), "`high` of suggest.float must be finite, but got inf"),
        (lambda: suggest.float(True, 1), "must be a number, but got True"),
        (lambda: suggest.float(0, 1, step=0), "`step > 0` must hold, but got step=0"),
        (lambda: suggest.float(1, 2, step=1, log=True), "`step` and `log` must not be set together"),
        (lambda: suggest.float(0, 1, log=True), "`low > 0` must hold when `log` is set, but got low=0"),
        (lambda: suggest.integer(0, 1, log=True), "`low > 0` must hold when `log` is set, but got low=0"),
        (lambda: suggest.integer(0, 1.5), r"must be an int, but got 1.5 \(float\)"),
        (lambda: suggest.integer(0, 2**63), r"ints have 64 bits, but `high` of suggest.integer is 9223372036854775808"),
        (
            lambda: suggest.category([1, -(2**64)]),
            "ints have 64 bits, but a choice of suggest.category is -18446744073709551616",
        ),
        (lambda: suggest.category(["a", "\udcff"]), r"text as UTF-8, but a choice of suggest.category is '\\udcff'"),
        (lambda: suggest.category([]), "must not be empty"),
        (lambda: suggest.category("abc"), "must be a list or a tuple, but got 'abc'"),
        (lambda: suggest.category([[1]]), r"must be None, bool, int, float, str or a member of an enum, but got \[1\]"),
    ],
)
def test_bad_suggestions_are_refused(make, match):
    """The rule and the value stand in the message."""
    with pytest.raises(SpaceError, match=match):
        make()


def test_what_optuna_accepts_is_accepted():
    """A range of one value is a range."""
    assert suggest.float(1, 1).low == suggest.integer(1, 1).high
    assert suggest.integer(-(2**63), 2**63 - 1).low == suggest.category([-(2**63)]).choices[0]
