"""Integers only: how the trials of a search fall into generations, and generations into spans."""

from __future__ import annotations

from dataclasses import dataclass

ARITY = 8
"""Most children of one span. Eight keeps 100,000 generations within six levels of nesting."""


@dataclass(frozen=True)
class Span:
    """The consecutive generations ``start`` to ``stop`` (exclusive), counted from 0."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


def generations(n_trials: int, batch: int) -> int:
    """Number of generations that ``n_trials`` trials need, ``batch`` at a time."""
    return -(-n_trials // batch)


def batch(generation: int, n_trials: int, size: int) -> int:
    """Number of trials in a generation: ``size``, or what is left in the last one."""
    return max(0, min(size, n_trials - generation * size))


def children(span: Span, arity: int = ARITY) -> list[Span]:
    """Split a span into at most ``arity`` consecutive children, such that the whole tree is as small as it can be.

    All inner nodes of the resulting tree but one have exactly ``arity`` children, so a search of R generations has
    ``ceil((R - 1) / (arity - 1))`` spans and is ``ceil(log(R, arity))`` levels deep. A child of length 1 is a
    generation.
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
            grown = min(extra, large - small)
            sizes.append(small + grown)
            extra -= grown
    spans, start = [], span.start
    for size in sizes:
        spans.append(Span(start, start + size))
        start += size
    return spans
