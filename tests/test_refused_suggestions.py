"""Suggestions by the names of others, of what cannot be one, and computed with."""

import enum
import math

import numpy as np
import pytest

from flyteoptuna import SpaceError, suggest


class Color(enum.Enum):
    RED = "r"


@pytest.mark.parametrize(
    ("name", "match"),
    [
        *((name, r"Write suggest.integer\(low, high\)") for name in ("int", "suggest_int", "randint")),
        *((name, r"Write suggest.float\(low, high\)") for name in ("uniform", "suggest_float", "suggest_uniform")),
        *((name, r"Write suggest.category\(choices\)") for name in ("categorical", "choice", "suggest_categorical")),
        *((name, r"Write suggest.float\(low, high, log=True\)") for name in ("loguniform", "suggest_loguniform")),
        *((name, r"Write suggest.float\(low, high, step=q\)") for name in ("discrete_uniform", "quniform")),
        ("flaot", "Did you mean `float`?"),
        ("catagory", "Did you mean `category`?"),
        ("xyzzy", "There is no suggest.xyzzy; there are suggest.float, suggest.integer, suggest.category.$"),
    ],
)
def test_other_names_of_a_suggestion_say_what_to_write(name, match):
    """Those of Optuna, old and new, of other libraries, and misspelt ones."""
    with pytest.raises(AttributeError, match=match):
        getattr(suggest, name)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: suggest.float("0", 1), r"`low` of suggest.float must be a number, but got '0' \(str\)"),
        (lambda: suggest.float("x", 0, 1), r"takes no name, but got 'x'.* Write suggest.float\(0, 1\)"),
        (lambda: suggest.float("x", 0, 1, log=True), r"Write suggest.float\(0, 1, log=True\)"),
        (lambda: suggest.integer("n", low=0, high=9), r"Write suggest.integer\(low=0, high=9\)"),
        (lambda: suggest.category("act", ["relu"]), r"Write suggest.category\(\['relu'\]\)"),
        (lambda: suggest.category("act", choices=["relu"]), r"Write suggest.category\(choices=\['relu'\]\)"),
        (lambda: suggest.category("act"), "`choices` of suggest.category must be a list or a tuple, but got 'act'"),
        (lambda: suggest.float(0, None), "`high` of suggest.float must be a number, but got None"),
        (lambda: suggest.float(0, 10**400), "`high` of suggest.float must be finite"),
        (
            lambda: suggest.float(0, 10**5000),
            "`high` of suggest.float must be finite, but got <an int of about 5,000 digits>",
        ),
        (lambda: suggest.float(-1.7e308, 1.7e308), "`high - low` must be a finite float"),
        (lambda: suggest.float(np.array([0]), 1), r"must be a number, but got array\(\[0\]\) \(ndarray\)"),
        (lambda: suggest.float(0, 1, log="yes"), "`log` of suggest.float must be a bool, but got 'yes'"),
        (lambda: suggest.integer(0, 10, step=None), "`step` of suggest.integer must be an int, but got None"),
        (lambda: suggest.integer(0, 10, step=2**70), "ints have 64 bits, but `step` of suggest.integer"),
        (lambda: suggest.integer(0, 10**5000), "ints have 64 bits, but `high` of suggest.integer"),
        (lambda: suggest.integer(0, True), "must be an int, but got True"),
        (lambda: suggest.category(Color), r"but got the enum Color: write suggest.category\(list\(Color\)\)"),
        (lambda: suggest.category({1, 2}), "but got {1, 2} .* Its order would differ from process to process"),
        (lambda: suggest.category({"a": 1}), "must be a list or a tuple, but got {'a': 1}"),
        (lambda: suggest.category(c for c in "ab"), "must be a list or a tuple, but got <generator"),
        (lambda: suggest.category(b"ab"), "must be a list or a tuple, but got b'ab'"),
        (lambda: suggest.category(3), r"must be a list or a tuple, but got 3 \(int\)"),
        (lambda: suggest.category([object()]), "Suggest a name, and let the objective choose by it"),
        (lambda: suggest.category([{"a": 1}]), "Suggest a name"),
        (lambda: suggest.category([suggest.float(0, 1)]), r"but got suggest.float\(0, 1\) \(Float\)"),
        (lambda: suggest.category(np.zeros((2, 2))), "must be a list or a tuple, but got array"),
    ],
)
def test_what_cannot_be_suggested_is_refused(make, match):
    """The rule, the value, and its type."""
    with pytest.raises(SpaceError, match=match):
        make()


def test_the_numbers_of_numpy_are_made_plain():
    """Bounds, steps and choices; 0-dimensional arrays too."""
    made = suggest.float(np.float32(0.5), np.array(2), step=np.float64(0.5))
    assert [type(v) for v in (made.low, made.high, made.step)] == [float, int, float]
    assert [type(c) for c in suggest.category(np.array([1, 2])).choices] == [int, int]
    assert suggest.category([np.str_("a"), np.bool_(True), np.float32(1)]).choices == ("a", True, 1.0)
    assert suggest.integer(np.uint8(1), np.int64(9), step=np.int16(2)) == suggest.integer(1, 9, 2)


@pytest.mark.parametrize(
    ("use", "symbol"),
    [
        (lambda x: x * 2, r"\*"),
        (lambda x: 2 * x, r"\*"),
        (lambda x: 10**x, r"\*\*"),
        (lambda x: x + x, r"\+"),
        (lambda x: -x, "-"),
        (lambda x: abs(x), r"abs\(\)"),
        (lambda x: int(x), r"int\(\)"),
        (lambda x: float(x), r"float\(\)"),
        (lambda x: round(x, 2), r"round\(\)"),
        (lambda x: math.sqrt(x), r"float\(\)"),
        (lambda x: range(x), r"index\(\)"),
        (lambda x: 1 if x else 0, r"bool\(\)"),
        (lambda x: x > 1, ">"),
        (lambda x: max(x, 1), "<"),
        (lambda x: list(x), r"iter\(\)"),
        (lambda x: len(x), r"len\(\)"),
        (lambda x: x[0], r"\[\]"),
        (lambda x: 1 in x, "in"),
        (lambda x: np.array([x]) * 2, r"\*"),
        (lambda x: f"{x:.2f}", r"a format, `\.2f"),
    ],
)
def test_a_suggestion_is_no_value(use, symbol):
    """Python would take it for true, or say nothing of why."""
    with pytest.raises(TypeError, match=rf"^suggest.float\(0, 1\) has no value where .* but got `?{symbol}`"):
        use(suggest.float(0, 1))


def test_a_suggestion_is_shown_as_it_was_written():
    """In errors, and where it is printed."""
    assert repr(suggest.float(0, 1, log=False)) == "suggest.float(0, 1)"
    assert repr(suggest.integer(1, 8, 2)) == "suggest.integer(1, 8, step=2)"
    assert repr(suggest.float(1, 8, log=True)) == "suggest.float(1, 8, log=True)"
    assert repr(suggest.category([None, "a"])) == "suggest.category((None, 'a'))"


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (
            lambda: suggest.category("a", "b"),
            r"takes choices, but got 2 arguments. Write suggest.category\(\['a', 'b'",
        ),
        (lambda: suggest.category(1, 2, 3), r"Write suggest.category\(\[1, 2, 3\]\)"),
        (lambda: suggest.float(0, 1, 0.1, False, 5), "suggest.float takes low, high, step, log, but got 5 arguments.$"),
    ],
)
def test_too_many_arguments_of_a_suggestion_say_which_there_are(make, match):
    with pytest.raises(TypeError, match=match):
        make()
