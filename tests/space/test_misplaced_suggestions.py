"""Suggestions where none can be, and what was written in place of one."""

from collections import OrderedDict, defaultdict, namedtuple
from dataclasses import dataclass, field
from enum import Enum
from typing import Annotated, Any, Optional

import numpy as np
import optuna
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyteoptuna import SpaceError, suggest
from flyteoptuna.space.annotations import check_input, convert_suggested

X = suggest.float(0, 1)
Pair = namedtuple("Pair", "first second")  # noqa: PYI024


class Color(Enum):
    RED = "r"
    BLUE = "b"


@dataclass
class Config:
    rate: float
    depth: int = 3
    color: Color = Color.RED
    inner: Optional["Config"] = None
    tags: list[str] = field(default_factory=list)


class Plain:
    def __init__(self, value):
        self.value = value


def nested(levels, make):
    value = make(None)
    for _ in range(levels):
        value = make(value)
    return value


def cycle():
    value = {"x": X}
    value["me"] = value
    return value


def cyclic_list():
    value = []
    value += [value, value]
    return value


@pytest.mark.parametrize(
    ("value", "match"),
    [
        ([X], r"`p\[0\]` is in a list. Give the elements as inputs of their own"),
        ((1, X), r"`p\[1\]` is in a tuple"),
        ({X}, "`p` is in a set"),
        (frozenset({X}), "`p` is in a frozenset"),
        ([[1], [X]], r"`p\[1\]\[0\]` is in a list"),
        ([{"a": X}], r"`p\[0\].a` is in a list"),
        ({"a": [X], "b": X}, r"`p.a\[0\]` is in a list"),
        ({"a": {"b": ({"c": X},)}}, r"`p.a.b\[0\].c` is in a tuple"),
        (Pair(X, 1), r"`p\[0\]` is in a Pair"),
        (Pair({"a": X}, 1), r"`p\[0\].a` is in a Pair"),
        ({X: 1}, "is in the keys of a dict"),
        ({X: X}, "Keys beside suggestions must be strings that are not empty"),
        (np.array([1, X]), r"`p\[1\]` is in a ndarray"),
        (np.array([[X]]), r"`p\[0\]` is in a ndarray"),
        (pd.Series([X]), r"`p\[0\]` is in a Series"),
        (pd.DataFrame({"a": [1, X]}), r"`p\['a'\]\[1\]` is in a DataFrame"),
        (Config(X), "`p.rate` is in a field of Config. Write a dictionary of its fields in its place"),
        (Config(0.1, inner=Config(X)), "`p.inner.rate` is in a field of Config"),
        ([Config(X)], r"`p\[0\].rate` is in a field of Config"),
        ({"a": Config(X)}, "`p.a.rate` is in a field of Config"),
        (Plain(X), "`p.value` is in an attribute of a Plain. Give it as an input of its own"),
        (lambda x=X: x, "`p` is in a default of the function"),
        (suggest.float, r"A suggestion must be called, but `p` is the function itself: write suggest.float\(...\)"),
        ([suggest.integer], r"`p\[0\]` is the function itself: write suggest.integer"),
        ({"a": suggest.category}, "`p.a` is the function itself: write suggest.category"),
        (type(X), "`p` must be a suggestion, as suggest.float"),
        (optuna.distributions.FloatDistribution(0, 1), r"not optuna's distributions: `p` must be suggest.float\(low"),
        ({"a": optuna.distributions.IntDistribution(0, 1)}, "`p.a` must be suggest.integer"),
        (optuna.distributions.CategoricalDistribution([1]), "`p` must be suggest.category"),
        (nested(10_000, lambda inner: {"a": inner}), r"nested at most 100 levels deep, .* but `p.a.a.*...` goes on"),
        (nested(10_000, lambda inner: [inner]), r"nested at most 100 levels deep, .* but `p\[0\]\[0\]"),
        (nested(10_000, lambda inner: {"a": inner, "x": X}), "nested at most 100 levels deep"),
        (cycle(), "must not contain itself, but `p.me.me"),
        (cyclic_list(), r"must not contain itself, but `p\[0\]`"),
        ({"": X}, r"must be strings that are not empty, but `p` has '' \(str\)"),
        ({3: X}, r"but `p` has 3 \(int\)"),
        ({None: X}, r"but `p` has None \(NoneType\)"),
        ({("a", "b"): X}, "but `p` has .*tuple"),
        ({"k" * 600: X}, "must have at most 512 characters, but `p.kkkk.*` has 602"),
    ],
)
def test_a_suggestion_where_none_can_be_is_refused(value, match):
    """With its path, what it is in, and how to write it."""
    with pytest.raises(SpaceError, match=match):
        check_input(value, Any, "p")


@pytest.mark.parametrize(
    ("value", "annotation", "match"),
    [
        (range(3), int, r"`p` is of type int, but got range\(0, 3\) .*To search over it, write suggest.category"),
        ([0.1, 0.2], float, "To search over it, write suggest.category"),
        ((0, 1), Annotated[float, "unit"], "To search over it"),
        (np.arange(3), int, r"`p` is of type int, but got array\(\[0, 1, 2\]\) \(ndarray\). To search over it"),
        ({"a": 1}, str, "`p` is of type str, but got {'a': 1}"),
        ("1", float, r"`p` is of type float, but got '1' \(str\)"),
        (lambda: 1.0, float, "`p` is of type float, but got <function"),
        (X, list[float], "Give its elements as inputs of their own"),
        (X, Config, "Write a dictionary of its fields"),
        ({"a": X}, float, "`p` is of type float, which no dictionary can be"),
        ({"a": {"b": X}}, dict[str, float], "`p.a` is of type float, which no dictionary can be"),
        (
            {"rate": X, "dept": 1},
            Config,
            "`p` is of type Config, which has no `dept`; it has: rate, .* Did you mean `de",
        ),
        ({"depth": suggest.integer(1, 2)}, Config, "`p` is of type Config, which needs: rate"),
        ({"rate": X, "inner": {"rate": X, "x": 1}}, Config, "`p.inner` is of type Config, which has no `x`"),
        ({"rate": X, "depth": X}, Config, "`p.depth` is of type int, but suggest.float"),
        (
            suggest.category(["r"]),
            Color,
            r"but suggest.category\(\('r',\)\) may suggest 'r' .*members or their names: RED",
        ),
        (suggest.category(list(Color)), str, "Annotate the input as Color, or suggest names"),
        ({"a": suggest.category(list(Color))}, dict, r"`p.a` is of type (typing\.)?Any.* Annotate the input as Color"),
    ],
)
def test_what_does_not_fit_its_type_is_refused_with_what_does(value, annotation, match):
    """The path, the type, the value, and what to write."""
    with pytest.raises(SpaceError, match=match):
        check_input(value, annotation, "p")


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        ({"a.b": X}, dict[str, float]),
        ({"a": suggest.integer(0, 1)}, dict[str, float]),
        (OrderedDict(a=X), OrderedDict),
        (defaultdict(dict, a={"b": X}), dict),
        ({"a": X}, dict[str, float] | None),
        ({"rate": X, "inner": {"rate": X, "color": suggest.category(list(Color))}}, Config | None),
        (suggest.category([None, *Color]), Color | None),
        (suggest.category(["RED"]), Color),
        (suggest.integer(np.int64(0), np.int32(3)), int),
        (np.float32(1), float),
        (1, float),
        (True, int),
        (lambda: 1, Any),
        (pd.DataFrame({"a": ["x"]}), pd.DataFrame),
        ([1] * 100_000, list[int]),
        (Config(0.5), Config),
        (nested(90, lambda inner: {"a": inner}), dict),
    ],
)
def test_what_fits_is_taken(value, annotation):
    """Dictionaries of all kinds, the members of an enum, and what holds no suggestion."""
    check_input(value, annotation, "p")


def test_a_drawn_dictionary_becomes_what_the_type_says():
    """Names become members, ints floats, and dictionaries dataclasses, at any depth."""
    made = convert_suggested({"rate": 1, "inner": {"rate": 0.5, "color": "BLUE"}}, Config | None)
    assert made == Config(1.0, inner=Config(0.5, color=Color.BLUE))
    assert type(made.rate) is float
    assert convert_suggested({"a": "RED"}, dict[str, Color | None]) == {"a": Color.RED}
    assert convert_suggested("RED", str) == "RED"


@given(
    st.recursive(
        st.just(X), lambda inner: st.one_of(st.lists(inner, min_size=1, max_size=3), st.tuples(inner)), max_leaves=5
    )
)
def test_no_list_however_nested_hides_a_suggestion(value):
    """Whatever holds it."""
    if value is X:
        check_input(value, Any, "p")
    else:
        with pytest.raises(SpaceError, match=r"A suggestion must be an input or a leaf of a dictionary, but `p\[0\]"):
            check_input(value, Any, "p")
