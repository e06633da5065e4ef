"""Pieces of a page: its style, escaped text, tiles and tables."""

from __future__ import annotations

import html
from collections.abc import Sequence

from flyteoptuna.show.page.axis import number

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


def wrap(page: str, plots: str = "") -> str:
    """The fragment: style, the page, and plots, which are left as they are."""
    return f'<div class="flyteoptuna"><style>{CSS}</style>{ascii_only(page)}{plots}</div>'
