"""Plan of a search in batches: its generations, and the spans that nest them. Integers only."""

from __future__ import annotations

import functools
from dataclasses import dataclass

# Maximum number of children of a span. With eight, 100,000 generations nest six levels deep.
ARITY = 8


@dataclass(frozen=True)
class Span:
    """Consecutive generations from ``start`` to ``stop``, exclusive; counted from 0."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


def count_generations(n_trials: int, batch_size: int) -> int:
    """Number of generations of a search."""
    return -(-n_trials // batch_size)


def batch_length(generation: int, n_trials: int, batch_size: int) -> int:
    """Number of trials of a generation: ``batch_size``, or the rest in the last one."""
    return max(0, min(batch_size, n_trials - generation * batch_size))


def split_span(span: Span, arity: int = ARITY) -> list[Span]:
    """Split a span into at most ``arity`` consecutive children; a child of length 1 is a generation.

    The tree of spans is as small as possible: all its inner nodes but one have exactly ``arity`` children. R
    generations take ``ceil((R - 1) / (arity - 1))`` spans in ``ceil(log(R, arity))`` levels.
    """
    length = len(span)
    if length <= arity:
        sizes = [1] * length
    else:
        small = 1
        while small * arity * arity < length:
            small *= arity
        large, extra = small * arity, length - small * arity
        sizes = []
        for _ in range(arity):
            growth = min(extra, large - small)
            sizes.append(small + growth)
            extra -= growth
    spans, start = [], span.start
    for size in sizes:
        spans.append(Span(start, start + size))
        start += size
    return spans


@dataclass(frozen=True)
class SearchShape:
    """Number of pods and nodes of a search that does not end early."""

    generations: int
    asks: int  # pods that tell and ask one generation; the pod of a span asks the first one of the span itself
    spans: int  # pods of spans, without the topmost span, which the search's own pod expands
    depth: int  # levels of dynamic nodes: the search and its spans
    widest: int  # maximum number of nodes in one dynamic node

    @property
    def drivers(self) -> int:
        """Number of pods that run no trial: the search, its spans, the asks and the finish."""
        return self.asks + self.spans + 2


def search_shape(n_trials: int, batch_size: int) -> SearchShape:
    """Compute the shape of a search."""
    n_generations = count_generations(n_trials, batch_size)
    spans, asks, depth, widest = _measure_tree(n_generations)
    return SearchShape(n_generations, asks, spans - 1, depth, widest)


@functools.cache
def _measure_tree(length: int) -> tuple[int, int, int, int]:
    """Measure the tree of spans over ``length`` generations: spans, asks, levels, widest span."""
    lengths = [len(child) for child in split_span(Span(0, length))]
    subtrees = [_measure_tree(each) for each in lengths if each > 1]
    # A generation is two nodes, ask and trials.
    asks = lengths[1:].count(1)
    nodes = len(subtrees) + lengths.count(1) + asks
    return (
        1 + sum(tree[0] for tree in subtrees),
        asks + sum(tree[1] for tree in subtrees),
        1 + max((tree[2] for tree in subtrees), default=0),
        max(nodes, *(tree[3] for tree in subtrees), 0),
    )
