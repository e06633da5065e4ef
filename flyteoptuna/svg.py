"""Pieces of a page: escaped text, tables, and charts whose text and strokes keep their size at any width."""

from __future__ import annotations

import html
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np

CSS = """
.flyteoptuna{font:14px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,Helvetica,Arial,sans-serif;color:#1f2430;
background:#fff;max-width:1080px;margin:0 auto;overflow-wrap:anywhere}
.flyteoptuna *{box-sizing:border-box}
.flyteoptuna h2{font-size:20px;margin:0 0 2px}.flyteoptuna h3{font-size:15px;margin:28px 0 8px}
.flyteoptuna p{margin:4px 0}.flyteoptuna .muted{color:#5b6472;font-size:13px}
.flyteoptuna .tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(200px,1fr));gap:12px;margin:16px 0}
.flyteoptuna .tile{border:1px solid #dfe3ea;border-radius:8px;padding:12px 14px;min-width:0}
.flyteoptuna .tile b{display:block;font-size:24px;line-height:1.3;font-weight:600}
.flyteoptuna .tile svg{margin-top:8px}
.flyteoptuna .charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,440px),1fr));gap:4px 20px}
.flyteoptuna figure{margin:0;min-width:0}.flyteoptuna figcaption{color:#5b6472;font-size:13px}
.flyteoptuna div.plot{padding:10px 22px 26px 0}
.flyteoptuna .chart{display:block;overflow:visible}
.flyteoptuna .chart text{font-size:12px;fill:#5b6472}.flyteoptuna .chart .grid{stroke:#e8ebf0}
.flyteoptuna .chart path{fill:none;stroke-linecap:round;stroke-linejoin:round}
.flyteoptuna .chart .dots{stroke:#7ea6d9;stroke-width:6}.flyteoptuna .chart .infeasible{stroke:#c3c8d1;stroke-width:6}
.flyteoptuna .chart .line{stroke:#c2410c;stroke-width:2}.flyteoptuna .chart .best{stroke:#c2410c;stroke-width:8}
.flyteoptuna svg.bar{display:block;border-radius:4px;background:#e8ebf0}
.flyteoptuna .key{display:flex;flex-wrap:wrap;gap:4px 18px;margin:8px 0 0;padding:0;list-style:none}
.flyteoptuna i{display:inline-block;width:10px;height:10px;border-radius:2px;margin-right:6px}
.flyteoptuna .complete{fill:#2f6fbf;background:#2f6fbf}.flyteoptuna .pruned{fill:#e0a100;background:#e0a100}
.flyteoptuna .failed{fill:#c92a2a;background:#c92a2a}.flyteoptuna .running{fill:#3fa36b;background:#3fa36b}
.flyteoptuna .waiting{fill:#aab2bf;background:#aab2bf}.flyteoptuna .left{fill:none}
.flyteoptuna .box{overflow-x:auto;overflow-y:hidden}
.flyteoptuna table{border-collapse:collapse;font-size:13px}
.flyteoptuna th,.flyteoptuna td{text-align:left;vertical-align:top;padding:5px 20px 5px 0;border:0;
border-bottom:1px solid #e8ebf0}
.flyteoptuna th{color:#5b6472;font-weight:600}
.flyteoptuna .n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
.flyteoptuna td.reason{min-width:180px;font-family:ui-monospace,Menlo,Consolas,monospace;font-size:12px}
.flyteoptuna .name{min-width:90px}.flyteoptuna .few{white-space:nowrap}
"""

RESIZE = """<script>
document.querySelectorAll(".flyteoptuna .plotly-graph-div").forEach(function (plot) {
  new ResizeObserver(function () { if (plot.offsetWidth) Plotly.Plots.resize(plot); }).observe(plot);
});
</script>"""
"""A plot that was drawn while its tab was hidden takes the tab's width once it is shown."""

T = TypeVar("T")
Points = Sequence[tuple[float, float]]

_MAX = sys.float_info.max
_TINY = 1e-290
_CHARACTER = 7.0
"""Width in pixels of a digit of a tick's label."""


class Layer(NamedTuple):
    """Points of one kind: dots, or the corners of a line; ``style`` is the CSS class of the path."""

    style: str
    points: Sequence[tuple[float, float]]
    line: bool = False


@dataclass(frozen=True)
class Axis:
    """A range of values and its ticks; what lies outside, infinity too, is drawn at the edge."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]

    def at(self, value: float) -> float:
        """Where a value stands, between 0 (low) and 1 (high)."""
        if value <= self.low or value >= self.high:
            return float(value > self.low)
        return (value / 2 - self.low / 2) / (self.high / 2 - self.low / 2)

    def shows(self, value: float) -> bool:
        """Whether a value lies inside."""
        return self.low <= value <= self.high


def thin(items: Sequence[T], most: int) -> Sequence[T]:
    """At most ``most`` of the items, evenly spread, the first and the last among them."""
    if len(items) <= most:
        return items
    return [items[i * (len(items) - 1) // (most - 1)] for i in range(most)]


def number(value: float) -> str:
    """A number at six significant digits: ``0.123457``, ``12``, ``1.5e-7``, ``-inf``."""
    mantissa, e, exponent = f"{value:.6g}".partition("e")
    return f"{mantissa}e{int(exponent)}" if e else mantissa


def axis(
    values: Sequence[float], *, worse: int = 0, keep: Sequence[float] = (), whole: bool = False, ticks: int = 6
) -> Axis:
    """The axis that shows some values.

    Args:
        values: the values, of which infinite ones are left out.
        worse: 1 where high values are the bad ones, -1 where low ones are, else 0; bad outliers are left out, so that
            they do not flatten the rest.
        keep: values that are to be shown even so.
        whole: whether the values are whole numbers.
        ticks: most intervals between ticks.
    """
    finite = sorted(v for v in values if math.isfinite(v)) or [0.0, 1.0]
    low, high = _without_outliers(finite, worse)
    inside = [v for v in keep if math.isfinite(v)]
    low, high = min([low, *inside]), max([high, *inside])
    pad = 0.05 * high - 0.05 * low
    if pad <= max(1e-13 * max(abs(low), abs(high)), _TINY):
        pad = max(0.1 * abs(high), _TINY) if high else 1.0
    if whole:
        pad = max(pad, 0.5)
    low, high = max(low - pad, -_MAX), min(high + pad, _MAX)
    return Axis(low, high, _ticks(low, high, ticks, whole))


def _without_outliers(ordered: Sequence[float], worse: int) -> tuple[float, float]:
    low, high = ordered[0], ordered[-1]
    if not worse or len(ordered) < 10:
        return low, high
    best, worst = (low, high) if worse > 0 else (high, low)
    usual = ordered[len(ordered) * 9 // 10] if worse > 0 else ordered[len(ordered) // 10]
    if usual == best or abs(worst - best) <= 4 * abs(usual - best):
        return low, high
    limit = best + 1.5 * (usual - best)
    return (low, limit) if worse > 0 else (limit, high)


def _ticks(low: float, high: float, most: int, whole: bool) -> tuple[tuple[float, str], ...]:
    rough = high / most - low / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(base * power for base in (1, 2, 5, 10) if base * power >= rough * (1 - 1e-9))
    if whole:
        step = max(step, 1.0)
    values = [i * step for i in range(math.ceil(low / step), math.floor(high / step) + 1)]
    values = [v for v in values if not whole or v >= 0]
    return tuple((v, _label(v, step, max(map(abs, values)))) for v in values)


def _label(value: float, step: float, top: float) -> str:
    if value == 0:
        return "0"
    places = max(0, -math.floor(math.log10(step) + 1e-9))
    if 1e-3 <= top < 1e7 and places <= 6:
        return f"{value:,.{places}f}"
    digits = max(0, math.floor(math.log10(top)) - math.floor(math.log10(step) + 1e-9))
    mantissa, _, exponent = f"{value:.{digits}e}".partition("e")
    return f"{mantissa}e{int(exponent)}"


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


def plain(value: object) -> str:
    """A value as text, neither cut nor escaped."""
    return number(value) if isinstance(value, float) else str(value)


def ascii_only(page: str) -> str:
    """HTML whose other characters are references, which survive any encoding of the page; scripts would not."""
    return page.encode("ascii", "xmlcharrefreplace").decode()


def text(value: object, limit: int, *, quote: bool = True) -> str:
    """A value in one line, cut and escaped."""
    shown = "".join(c if c.isprintable() else " " for c in plain(value)[: limit + 1])
    cut = shown if len(shown) <= limit else shown[: limit - 1].rstrip() + "\N{HORIZONTAL ELLIPSIS}"
    return html.escape(cut, quote)


class Shortened(dict[tuple[str, str], str]):
    """A short, escaped text for each (kind, text), different for different texts of a kind.

    Texts of the kind "" are dotted paths, whose end tells most.
    """

    def __missing__(self, key: tuple[str, str]) -> str:
        kind, whole = key
        end = whole if kind or len(whole) <= 20 else "\N{HORIZONTAL ELLIPSIS}" + whole[-19:]
        short, taken = text(end, 24, quote=False), {used for (other, _), used in self.items() if other == kind}
        self[key] = short if short not in taken else f"{short}~{len(taken)}"
        return self[key]


def tile(head: str, value: str, foot: str, below: str = "") -> str:
    """A frame around one large value."""
    foot = f'<span class="muted">{foot}</span>{below}'
    return f'<div class="tile"><span class="muted">{head}</span><b>{value}</b>{foot}</div>'


def note(text: str) -> str:
    """A line of lesser weight."""
    return f'<p class="muted">{text}</p>'


def section(title: str, *body: str) -> str:
    """A title and what stands below it."""
    return f"<h3>{title}</h3>{''.join(body)}"


def table(head: Sequence[str], rows: Sequence[Sequence[tuple[str, str]]]) -> str:
    """A table of cells, each a CSS class and its HTML."""
    heads = "".join(f'<th class="{style}">{name}</th>' for name, (style, _) in zip(head, rows[0], strict=True))
    body = "".join("<tr>" + "".join(f'<td class="{c}">{text}</td>' for c, text in row) + "</tr>" for row in rows)
    return f'<div class="box"><table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>'


def plotly(figure: Any, index: int) -> str:
    """A figure of plotly's in a box of its own; the first, of index 0, carries plotly's script."""
    from plotly import io

    figure.update_layout(
        title=None,
        template="plotly_white",
        font={"family": "system-ui, -apple-system, Segoe UI, Roboto, Helvetica, Arial, sans-serif", "size": 12},
        margin={"l": 60, "r": 24, "t": 40, "b": 50},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    )
    # The template's outline of bars would hide those of a timeline of many trials.
    figure.update_traces(marker_line_width=0, selector={"type": "bar"})
    # The labels of parallel coordinates stand on lines; before optuna 5, they belong to the trace.
    figure.update_annotations(bgcolor="rgba(255,255,255,0.8)", font={"color": "#1f2430", "size": 11}, borderpad=0)
    coordinates = getattr(figure.data[0], "dimensions", None) or figure.layout.xaxis.tickvals or ()
    bars = {str(trace.get("marker", {}).get("colorbar", "")) for trace in figure.to_dict()["data"]} - {""}
    width = max(240 * len(list(figure.select_xaxes())) + 90 * len(bars), 100 * len(coordinates))
    drawn = io.to_html(
        figure,
        config={"displayModeBar": False, "responsive": True},
        include_plotlyjs=index == 0,
        full_html=False,
        default_height="420px",
        div_id=f"flyteoptuna-plot-{index}",
    )
    return f'<div class="box"><div style="min-width:{width}px">{drawn}</div></div>'


def wrap(page: str, plots: str = "") -> str:
    """The fragment: style, the page, and plots, which are left as they are."""
    return f'<div class="flyteoptuna"><style>{CSS}</style>{ascii_only(page)}{plots}</div>'
