"""Charts as SVG, whose text and strokes keep their size at any width."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from flyteoptuna.show.page.axis import Axis

Points = Sequence[tuple[float, float]]

_CHARACTER = 7.0
"""Width in pixels of a digit of a tick's label."""


class Layer(NamedTuple):
    """Points of one kind.

    Attributes:
        style: the CSS class of the path.
        points: the places of dots, or the corners of a line.
        line: whether it is a line.
        trials: the number of each dot's trial, or that of the line's, by which the page's script finds them.
        ends: for each point, where the stroke that begins there ends; of none, each is a dot.
        width: width of the strokes in pixels; None for that of the style.
    """

    style: str
    points: Points
    line: bool = False
    trials: Sequence[int] = ()
    ends: Sequence[float] = ()
    width: float | None = None


def chart(x: Axis, y: Axis, layers: Iterable[Layer], *, label: str, height: int = 220, inside: str = "") -> str:
    """A chart of dots and lines, as wide as its place.

    Args:
        x: the horizontal axis.
        y: the vertical axis.
        layers: what is drawn, the lowest first.
        label: what the chart shows, for those who do not see it; escaped.
        height: height of the plot in pixels, without the ticks' labels.
        inside: what else is drawn, in SVG, over the layers.
    """
    parts = [
        f'<line class="grid" x1="0" x2="100%" y1="{percent(1 - y.at(v))}" y2="{percent(1 - y.at(v))}"/>'
        f'<text x="-8" y="{percent(1 - y.at(v))}" dy=".35em" text-anchor="end">{html.escape(name)}</text>'
        for v, name in y.ticks
    ]
    parts += [
        f'<line class="grid" y1="0" y2="100%" x1="{percent(x.at(v))}" x2="{percent(x.at(v))}"/>'
        f'<text x="{percent(x.at(v))}" y="100%" dy="1.5em" text-anchor="middle">{html.escape(name)}</text>'
        for v, name in x.ticks
    ]
    paths = "".join(_path(x, y, layer) for layer in layers)
    margin = 14 + _CHARACTER * max((len(name) for _, name in y.ticks), default=0)
    # Percentages place the text, which keeps its size; the inner viewBox stretches the paths to the same place.
    return (
        f'<div class="plot" style="padding-left:{margin:.0f}px">'
        f'<svg class="chart" role="img" aria-label="{label}" width="100%" height="{height}">{"".join(parts)}'
        f'<svg viewBox="0 0 1000 1000" preserveAspectRatio="none" width="100%" height="100%" overflow="visible">{paths}'
        f"</svg>{inside}</svg></div>"
    )


def percent(fraction: float) -> str:
    """A share as SVG has it."""
    return f"{100 * fraction:.4g}%"


def _path(x: Axis, y: Axis, layer: Layer) -> str:
    places = [(round(1000 * x.at(a)), round(1000 - 1000 * y.at(b))) for a, b in layer.points]
    trials = list(layer.trials)
    if layer.line:
        d = "M" + "L".join(f"{a} {b}" for a, b in places) if places else ""
    elif layer.ends:
        to = [max(round(1000 * x.at(end)) - a, 1) for (a, _), end in zip(places, layer.ends, strict=True)]
        d = "".join(f"M{a} {b}h{width}" for (a, b), width in zip(places, to, strict=True))
    else:
        # A line of no length with round ends is a dot, at any stretch. Of dots in one place, one is drawn.
        last = dict(zip(places, trials or places, strict=True))
        d = "".join(f"M{a} {b}h0" for a, b in last)
        trials = list(last.values()) if trials else []  # type: ignore[arg-type]
    if not d:
        return ""
    data = f' data-trials="{" ".join(map(str, trials))}"' if trials else ""
    width = "" if layer.width is None else f' style="stroke-width:{layer.width:.3g}px"'
    return f'<path class="{layer.style}" d="{d}"{data}{width} vector-effect="non-scaling-stroke"/>'


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
        f'width="100%" height="10">{"".join(drawn)}</svg>'
    )
