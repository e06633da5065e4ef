"""Hypothesis strategies that the tests share."""

from hypothesis import strategies as st

from flyteoptuna import suggest

bounds = st.tuples(st.integers(-50, 50), st.integers(0, 50))
floats = bounds.map(lambda b: suggest.float(float(b[0]), float(b[0] + b[1])))
integers = st.tuples(bounds, st.integers(1, 3)).map(lambda b: suggest.integer(b[0][0], b[0][0] + b[0][1], step=b[1]))
categories = st.lists(st.sampled_from(["a", "b", 1, 2.5, True, None]), min_size=1, max_size=4, unique=True).map(
    suggest.category
)
suggestions = floats | integers | categories
names = st.sampled_from(["a", "b", "c", "d"])
spaces = st.dictionaries(names, suggestions | st.dictionaries(names, suggestions, min_size=1, max_size=2), min_size=1)
