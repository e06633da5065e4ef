"""The plan of a search: its generations and spans."""

import functools
import math

from hypothesis import example, given
from hypothesis import strategies as st

from flyteoptuna.search import plan

counts = st.integers(1, 100_000)


def walk(span):
    """Leaves, number of inner spans, and depth of the tree below a span."""
    leaves, spans, depth = [], 1, 0
    for child in plan.split_span(span):
        if len(child) == 1:
            leaves.append(child.start)
        else:
            below, inner, levels = walk(child)
            leaves += below
            spans += inner
            depth = max(depth, levels)
    return leaves, spans, depth + 1


@given(n_trials=counts, size=counts)
def test_generations_partition_the_trials(n_trials, size):
    """Every trial is in one generation, and no generation exceeds the batch or is empty."""
    count = plan.count_generations(n_trials, size)
    batches = [plan.batch_length(index, n_trials, size) for index in range(count)]
    assert sum(batches) == n_trials
    assert all(1 <= batch <= size for batch in batches)
    assert plan.batch_length(count, n_trials, size) == 0


@given(count=st.integers(1, 5_000), arity=st.integers(2, 10))
@example(count=8**3 + 8**2 + 8 + 2, arity=8)
def test_spans_partition_the_generations_within_their_bounds(count, arity):
    """The leaves are the generations in order, with the fewest spans and levels that the arity allows."""
    assert all(len(c) < count for c in plan.split_span(plan.Span(0, count), arity)) or count == 1

    def tree(span):
        kids = plan.split_span(span, arity)
        assert 1 <= len(kids) <= arity
        parts = [([c.start], 0, 0) if len(c) == 1 else tree(c) for c in kids]
        return [x for p in parts for x in p[0]], 1 + sum(p[1] for p in parts), 1 + max(p[2] for p in parts)

    leaves, spans, depth = tree(plan.Span(0, count))
    assert leaves == list(range(count))
    assert spans <= max(1, math.ceil((count - 1) / (arity - 1)))
    assert arity ** (depth - 1) < max(count, 2)


def test_the_largest_search_is_six_levels_deep():
    """100,000 generations keep every bound too."""
    leaves, spans, depth = walk(plan.Span(0, 100_000))
    assert leaves == list(range(100_000))
    assert spans <= math.ceil(100_000 / (plan.ARITY - 1))
    assert depth == 6


@functools.cache
def shape(length):
    """Number of spans of a tree of so many generations, and its depth; both depend on the length alone."""
    below = [shape(len(c)) for c in plan.split_span(plan.Span(0, length)) if len(c) > 1]
    return 1 + sum(spans for spans, _ in below), 1 + max((depth for _, depth in below), default=0)


@given(n_trials=counts, concurrency=counts)
def test_pods_and_depth_keep_their_bounds(n_trials, concurrency):
    """Pods that are no trials: generations, spans and the last one; depth: a level for each power of the arity."""
    count = plan.count_generations(n_trials, concurrency)
    spans, depth = shape(count)
    assert count + spans + 1 <= count + math.ceil(count / (plan.ARITY - 1)) + 3
    assert plan.ARITY ** (depth - 1) < max(count, 2)


def test_shapes_of_long_searches():
    """100,000 generations nest six deep, and cost a seventh more pods, of which each last span saves one."""
    of = plan.search_shape(400_000, 4)
    assert of.generations == 100_000
    assert of.spans == math.ceil((100_000 - 1) / (plan.ARITY - 1)) - 1
    assert (of.depth, of.widest) == (math.ceil(math.log(100_000, plan.ARITY)), 2 * plan.ARITY - 1)


@given(n_trials=counts, size=counts)
def test_no_search_has_more_driver_pods_than_generations_spans_and_its_ends(n_trials, size):
    """The pod of a span asks its first batch, so that those of few generations have one pod less."""
    of = plan.search_shape(n_trials, size)
    assert of.drivers <= of.generations + math.ceil((of.generations - 1) / (plan.ARITY - 1)) + 1
    assert of.asks + of.spans + 1 >= of.generations
    if of.generations <= plan.ARITY:
        assert of.drivers == of.generations + 1
