"""Charts as SVG, whose text and strokes keep their size at any width."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from flyteoptuna.show.page.axis import Axis, axis, thin

Points = Sequence[tuple[float, float]]

_CHARACTER = 7.0
"""Width in pixels of a digit of a tick's label."""


class Layer(NamedTuple):
    """Points of one kind: dots, or the corners of a line; ``style`` is the CSS class of the path."""

    style: str
    points: Sequence[tuple[float, float]]
    line: bool = False


def chart(x: Axis, y: Axis, layers: Sequence[Layer], *, label: str, height: int = 220) -> str:
    """A chart of dots and lines, as wide as its place.

    Args:
        x: the horizontal axis.
        y: the vertical axis.
        layers: what is drawn, the lowest first.
        label: what the chart shows, for those who do not see it; escaped.
        height: height of the plot in pixels, without the ticks' labels.
    """
    parts = [
        f'<line class="grid" x1="0" x2="100%" y1="{_percent(1 - y.at(v))}" y2="{_percent(1 - y.at(v))}"/>'
        f'<text x="-8" y="{_percent(1 - y.at(v))}" dy=".35em" text-anchor="end">{name}</text>'
        for v, name in y.ticks
    ]
    parts += [
        f'<line class="grid" y1="0" y2="100%" x1="{_percent(x.at(v))}" x2="{_percent(x.at(v))}"/>'
        f'<text x="{_percent(x.at(v))}" y="100%" dy="1.5em" text-anchor="middle">{name}</text>'
        for v, name in x.ticks
    ]
    paths = "".join(_path(x, y, layer) for layer in layers)
    margin = 14 + _CHARACTER * max((len(name) for _, name in y.ticks), default=0)
    # Percentages place the text, which keeps its size; the inner viewBox stretches the paths to the same place.
    return (
        f'<div class="plot" style="padding-left:{margin:.0f}px">'
        f'<svg class="chart" role="img" aria-label="{label}" width="100%" height="{height}">{"".join(parts)}'
        f'<svg viewBox="0 0 1000 1000" preserveAspectRatio="none" width="100%" height="100%" overflow="visible">{paths}'
        "</svg></svg></div>"
    )


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.4g}%"


def _path(x: Axis, y: Axis, layer: Layer) -> str:
    places = [(round(1000 * x.at(a)), round(1000 - 1000 * y.at(b))) for a, b in layer.points]
    if layer.line:
        d = "M" + "L".join(f"{a} {b}" for a, b in places) if places else ""
    else:
        # A line of no length with round ends is a dot, at any stretch.
        d = "".join(f"M{a} {b}h0" for a, b in dict.fromkeys(places))
    return f'<path class="{layer.style}" d="{d}" vector-effect="non-scaling-stroke"/>' if d else ""


def history(name: str, points: Sequence[Points], last: int, worse: int, most: int) -> str:
    """The chart of an objective by trial number.

    Args:
        name: name of the objective, escaped.
        points: (number, value) of the feasible trials, of the infeasible ones, and of each that was the best so far.
        last: number of the last trial.
        worse: 1 where higher values are worse, else -1.
        most: most dots.
    """
    feasible, infeasible, steps = points
    line: list[tuple[float, float]] = []
    for number, value in thin(steps, most // 4):
        line += [(number, line[-1][1]), (number, value)] if line else [(number, value)]
    line += [(last, line[-1][1])] if line else []
    x = axis([0, last], whole=True, ticks=5)
    y = axis([v for _, v in [*feasible, *infeasible]], worse=worse, keep=[v for _, v in steps[-1:]])
    about = "; the line is the best so far."
    return _figure(x, y, [feasible, infeasible, line, steps[-1:]], most, f"{name} by trial number", about)


def scatter(names: Sequence[str], points: Sequence[Points], worse: Sequence[int], most: int) -> str:
    """The chart of two objectives, the second upwards; ``points`` are the feasible, the infeasible and the optimal."""
    feasible, infeasible, front = points
    best = thin(front, most // 4)
    line: list[tuple[float, float]] = []
    for a, b in best:
        # Between two optima, what is known to be reachable is the worse of both.
        if line:
            line.append((a, line[-1][1]) if worse[0] > 0 else (line[-1][0], b))
        line.append((a, b))
    x, y = (
        axis([p[i] for p in [*feasible, *infeasible]], worse=worse[i], keep=[p[i] for p in best], ticks=4)
        for i in (0, 1)
    )
    label, about = f"{names[1]} (upwards) against {names[0]}", "; the line is the Pareto front."
    return _figure(x, y, [feasible, infeasible, line, best], most, label, about, 300)


def _figure(x: Axis, y: Axis, points: Sequence[Points], most: int, label: str, about: str, height: int = 220) -> str:
    feasible, infeasible, line, best = points
    layers = [
        Layer("infeasible", thin(infeasible, most // 4)),
        Layer("dots", thin(feasible, most)),
        Layer("line", line, line=True),
        Layer("best", best),
    ]
    every = [*feasible, *infeasible]
    hidden = len(every) - sum([x.low <= a <= x.high and y.low <= b <= y.high for a, b in every])
    caption = label + about
    if hidden:
        caption += f" {hidden:,} of {len(every):,} trials lie outside and are drawn at the edge."
    if len(feasible) > most or len(infeasible) > most // 4:
        caption += " The dots are an even sample of the trials."
    drawn = chart(x, y, layers, label=label, height=height)
    return f"<figure>{drawn}<figcaption>{caption}</figcaption></figure>"


def pareto(losses: np.ndarray[Any, Any]) -> list[bool]:
    """Which rows no other row dominates: is at most equal everywhere, and less somewhere."""
    unique, where = np.unique(losses, axis=0, return_inverse=True)
    columns = np.ascontiguousarray(unique.T)
    on_front = np.zeros(len(unique), dtype=bool)
    rest = np.arange(len(unique))
    if losses.shape[1] == 2:
        # In lexical order, what is on the front is less in the second column than all before it.
        on_front[:1], on_front[1:] = True, unique[1:, 1] < np.minimum.accumulate(unique[:-1, 1])
        rest = rest[:0]
    while len(rest):
        # None dominates the first of the rest, and it dominates those that are nowhere less.
        on_front[rest[0]] = True
        rest = rest[np.logical_or.reduce([column[rest] < column[rest[0]] for column in columns])]
    return list(on_front[where.reshape(-1)])


def bar(parts: Sequence[tuple[str, float]], *, label: str) -> str:
    """A stacked bar of parts, each a CSS class and its size; ``label`` says what it shows, escaped."""
    total = sum(size for _, size in parts)
    drawn, left = [], 0.0
    for style, size in parts:
        if size > 0:
            width = 1000 * size / total
            drawn.append(f'<rect class="{style}" x="{left:.2f}" y="0" width="{width:.2f}" height="10"/>')
            left += width
    return (
        f'<svg class="bar" role="img" aria-label="{label}" viewBox="0 0 1000 10" preserveAspectRatio="none" '
        f'width="100%" height="14">{"".join(drawn)}</svg>'
    )
