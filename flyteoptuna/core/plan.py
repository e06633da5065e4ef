"""Integers only: how the trials of a search fall into generations, and generations into spans."""

from __future__ import annotations

import dataclasses
import functools
import json
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


@dataclass(frozen=True)
class Settings:
    """How much a search runs, as it travels to the driver pods.

    Attributes:
        n_trials: trials in all.
        batch: trials of a generation.
        concurrency: trials that run at once.
        timeout: seconds from the first generation's start after which no batch is asked; None for no limit.
        max_failures: most trials that may fail; None for no limit.
        avoid_duplicates: whether a point that is known is asked again.
        space: the suggestions as JSON; empty where a callback makes the inputs.
    """

    n_trials: int
    batch: int
    concurrency: int
    timeout: float | None = None
    max_failures: int | None = None
    avoid_duplicates: bool = False
    space: str = ""

    def __post_init__(self) -> None:
        for name in ("n_trials", "concurrency"):
            at_least(name, getattr(self, name), 1)
        at_least("batch_size", self.batch, 1)
        for name in ("timeout", "max_failures"):
            if getattr(self, name) is not None:
                at_least(name, getattr(self, name), 0)

    @property
    def slots(self) -> int:
        """Most trials that can run at once; a search without batches has ``batch`` from its ``concurrency``."""
        return min(self.concurrency, self.batch, self.n_trials)

    def dumps(self) -> str:
        """The settings as JSON."""
        return json.dumps(dataclasses.asdict(self))


def at_least(name: str, value: float, least: int) -> None:
    """Raise a ValueError, with the rule and the value, where a number is too small."""
    if not value >= least:
        raise ValueError(f"`{name} >= {least}` must hold, but got {name}={value}.")


def settings(text: str) -> Settings:
    """The settings that :meth:`Settings.dumps` wrote."""
    return Settings(**json.loads(text))


@dataclass(frozen=True)
class Shape:
    """What a search runs if it is not over early.

    Attributes:
        generations: rounds of asking, running and telling a batch.
        asks: pods that ask a batch and do nothing else; the pod of a span asks the first batch of that span.
        spans: pods of spans; the topmost span has none, for it is in the search's own.
        depth: dynamic nodes inside each other: the search and its spans.
        widest: most nodes in one of them.
    """

    generations: int
    asks: int
    spans: int
    depth: int
    widest: int

    @property
    def drivers(self) -> int:
        """Pods that run no trial: the search, its spans, the asks and the finish."""
        return self.asks + self.spans + 2


def shape(n_trials: int, batch: int) -> Shape:
    """The shape of a search.

    Args:
        n_trials: trials in all, at least 1.
        batch: trials of a generation, at least 1.
    """
    rounds = generations(n_trials, batch)
    spans, asks, depth, widest = _tree(rounds)
    return Shape(rounds, asks, spans - 1, depth, widest)


@functools.cache
def _tree(length: int) -> tuple[int, int, int, int]:
    """Spans, asks, depth and the most nodes of a span of so many generations."""
    lengths = [len(child) for child in children(Span(0, length))]
    inner = [_tree(each) for each in lengths if each > 1]
    # A generation is two nodes, ask and trials.
    asks = lengths[1:].count(1)
    nodes = len(inner) + lengths.count(1) + asks
    return (
        1 + sum(tree[0] for tree in inner),
        asks + sum(tree[1] for tree in inner),
        1 + max((tree[2] for tree in inner), default=0),
        max(nodes, *(tree[3] for tree in inner), 0),
    )
