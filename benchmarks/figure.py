"""The figure of what waiting costs, as SVG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

WIDTH, HEIGHT = 760, 500
_MOST = 5.0
"""Multiples above it are cut, and say so."""
_HIGH, _BAR, _GROUP, _PANEL = 150, 13, 68, 240
_COLOURS = ("#9db8d6", "#2f6fb7", "#c2571a", "#1b7f5c")
_INK, _SOFT, _GRID = "#1f2328", "#59636e", "#e4e7eb"


def _text(x: float, y: float, content: str, *, fill: str = _SOFT, anchor: str = "middle", extra: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}" fill="{fill}" text-anchor="{anchor}"{extra}>{content}</text>'


def _panel(left: float, bottom: float, cases: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Bars of one number of slots and one start-up, grouped by durations."""
    scale = _HIGH / _MOST
    for tick in range(int(_MOST) + 1):
        y = bottom - tick * scale
        yield f'<line x1="{left}" x2="{left + 3 * _GROUP}" y1="{y:g}" y2="{y:g}" stroke="{_GRID}"/>'
        yield _text(left - 5, y + 4, f"{tick}&#215;", anchor="end", extra=' font-size="10"')
    for i, case in enumerate(cases):
        start = left + i * _GROUP + 7
        for k, (kind, times) in enumerate(case["times"].items()):
            high, x = min(times, _MOST) * scale, start + k * _BAR
            yield (
                f'<rect x="{x:g}" y="{bottom - high:.1f}" width="{_BAR - 2}" height="{high:.1f}" fill="{_COLOURS[k]}">'
                f"<title>{kind}: {times:.2f}</title></rect>"
            )
            if times > _MOST:
                yield _text(x + 5, bottom - _HIGH - 4, f"{times:.1f}", fill=_INK, extra=' font-size="10"')
        label = case["durations"].partition(",")[0]
        yield _text(start + 2 * _BAR, bottom + 15, label, fill=_INK, extra=' font-size="11"')
    y = bottom - scale
    yield f'<line x1="{left}" x2="{left + 3 * _GROUP}" y1="{y:g}" y2="{y:g}" stroke="{_INK}" stroke-dasharray="3 3"/>'


def figure(cases: Sequence[dict[str, Any]], note: str) -> str:
    """Time of a search as a multiple of the ideal, by kind; a row for a number of slots, a panel for a start-up."""
    title = "How long a search takes, as a multiple of the ideal"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'role="img" aria-label="{title}" font-family="system-ui, sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="6" fill="#ffffff"/>',
        _text(24, 28, title, fill=_INK, anchor="start", extra=' font-size="15" font-weight="600"'),
    ]
    for k, kind in enumerate(cases[0]["times"]):
        parts.append(f'<rect x="{24 + k * 170}" y="42" width="10" height="10" fill="{_COLOURS[k]}"/>')
        parts.append(_text(40 + k * 170, 51, kind.replace(" x", "&#215; the slots"), fill=_INK, anchor="start"))
    panels = dict.fromkeys((case["slots"], case["start_up"]) for case in cases)
    across = len({start_up for _, start_up in panels})
    for i, (slots, start_up) in enumerate(panels):
        left, bottom = 44 + i % across * _PANEL, 258 + i // across * 205
        said = f"{slots} slots, pods start in {start_up} s"
        parts.append(_text(left, bottom - _HIGH - 18, said, fill=_INK, anchor="start", extra=' font-weight="600"'))
        shown = [case for case in cases if (case["slots"], case["start_up"]) == (slots, start_up)]
        parts += _panel(left, bottom, shown)
    parts.append(_text(24, HEIGHT - 8, note, anchor="start", extra=' font-size="11"'))
    return "\n".join([*parts, "</svg>"]) + "\n"
