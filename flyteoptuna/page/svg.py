"""SVG charts whose text and strokes keep their size at any width."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from flyteoptuna.page.axis import Axis

Points = Sequence[tuple[float, float]]

# Width of a digit in a tick label, pixels.
_DIGIT_WIDTH = 7.0


class Layer(NamedTuple):
    """Dots, strokes or a line of one style.

    Attributes:
        style: the CSS class of the path.
        points: the positions of the dots, the starts of the strokes, or the corners of the line.
        line: whether it is a line.
        trials: the trial number of each dot or stroke, or of the line, for the page's script.
        ends: the x value at which the stroke of each point ends. Without them, points are dots.
        width: width of the strokes, pixels. None: that of the style.
    """

    style: str
    points: Points
    line: bool = False
    trials: Sequence[int] = ()
    ends: Sequence[float] = ()
    width: float | None = None


def log_note(axes: Mapping[str, Axis]) -> str:
    """Sentence of a caption about logarithmic axes, by the names of their values; empty if there are none."""
    names = [name for name, axis in axes.items() if axis.log]
    return f" The scale of {' and '.join(names)} is logarithmic." if names else ""


def dot_layers(style: str, points: Points, trials: Sequence[int], x: Axis, y: Axis) -> list[Layer]:
    """The layers of dots of one style; those outside of the axes are squares at the edge."""
    groups: dict[bool, list[tuple[tuple[float, float], int]]] = {True: [], False: []}
    for point, trial in zip(points, trials, strict=True):
        groups[x.contains(point[0]) and y.contains(point[1])].append((point, trial))
    styles = {True: style, False: f"{style} outside"}
    return [Layer(styles[key], [p for p, _ in pairs], trials=[t for _, t in pairs]) for key, pairs in groups.items()]


def outside_note(outside: int, total: int) -> str:
    """Sentence of a caption about dots outside of the axes; empty if there are none."""
    if not outside:
        return ""
    lie = "lies outside: a square" if outside == 1 else "lie outside: squares"
    return f" {outside:,} of {total:,} trials {lie} at the edge."


def chart(x: Axis, y: Axis, layers: Iterable[Layer], *, label: str, height: int = 220, overlay: str = "") -> str:
    """A chart that fills the width of its container.

    Args:
        x: the horizontal axis.
        y: the vertical axis.
        layers: the layers, lowest first.
        label: description for screen readers, escaped.
        height: height of the plot without tick labels, pixels.
        overlay: SVG drawn over the layers.
    """
    parts = [
        f'<line class="grid" x1="0" x2="100%" y1="{percent(1 - y.position(v))}" y2="{percent(1 - y.position(v))}"/>'
        f'<text x="-8" y="{percent(1 - y.position(v))}" dy=".35em" text-anchor="end">{html.escape(name)}</text>'
        for v, name in y.ticks
    ]
    parts += [
        f'<line class="grid" y1="0" y2="100%" x1="{percent(x.position(v))}" x2="{percent(x.position(v))}"/>'
        f'<text x="{percent(x.position(v))}" y="100%" dy="1.5em" text-anchor="middle">{html.escape(name)}</text>'
        for v, name in x.ticks
    ]
    paths = "".join(_svg_path(x, y, layer) for layer in layers)
    margin = 14 + _DIGIT_WIDTH * max((len(name) for _, name in y.ticks), default=0)
    # Percentages position the text without scaling it; the inner viewBox stretches the paths to the same positions.
    return (
        f'<div class="plot" style="padding-left:{margin:.0f}px">'
        f'<svg class="chart" role="img" aria-label="{label}" width="100%" height="{height}">{"".join(parts)}'
        f'<svg viewBox="0 0 1000 1000" preserveAspectRatio="none" width="100%" height="100%" overflow="visible">{paths}'
        f"</svg>{overlay}</svg></div>"
    )


def percent(fraction: float) -> str:
    """A fraction as an SVG percentage."""
    return f"{100 * fraction:.4g}%"


def _svg_path(x: Axis, y: Axis, layer: Layer) -> str:
    positions = [(round(1000 * x.position(a)), round(1000 - 1000 * y.position(b))) for a, b in layer.points]
    trials = list(layer.trials)
    if layer.line:
        d = "M" + "L".join(f"{a} {b}" for a, b in positions) if positions else ""
    elif layer.ends:
        widths = [max(round(1000 * x.position(end)) - a, 1) for (a, _), end in zip(positions, layer.ends, strict=True)]
        d = "".join(f"M{a} {b}h{width}" for (a, b), width in zip(positions, widths, strict=True))
    else:
        # A line of length zero with round ends stays a dot when stretched. Dots at the same position are drawn once.
        dots = dict(zip(positions, trials or positions, strict=True))
        d = "".join(f"M{a} {b}h0" for a, b in dots)
        trials = list(dots.values()) if trials else []  # type: ignore[arg-type]
    if not d:
        return ""
    data = f' data-trials="{" ".join(map(str, trials))}"' if trials else ""
    width = "" if layer.width is None else f' style="stroke-width:{layer.width:.3g}px"'
    return f'<path class="{layer.style}" d="{d}"{data}{width} vector-effect="non-scaling-stroke"/>'


def stacked_bar(parts: Sequence[tuple[str, float]], *, label: str) -> str:
    """A stacked bar of parts, each a CSS class and a size; ``label`` is its escaped description."""
    total = sum(size for _, size in parts)
    rects, left = [], 0.0
    for style, size in parts:
        if size > 0:
            width = 1000 * size / total
            rects.append(f'<rect class="{style}" x="{left:.2f}" y="0" width="{width:.2f}" height="10"/>')
            left += width
    return (
        f'<svg class="bar" role="img" aria-label="{label}" viewBox="0 0 1000 10" preserveAspectRatio="none" '
        f'width="100%" height="10">{"".join(rects)}</svg>'
    )
