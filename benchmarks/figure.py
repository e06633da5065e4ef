"""The figure of what waiting costs, as SVG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

WIDTH, HEIGHT = 700, 330
_TOP, _BOTTOM = 92, 252
_PANELS = {10: 52, 50: 388}
"""Left edge of each panel's plot, by concurrency."""
_STEP = 56
_COLOURS = ("#1b7f5c", "#2f6fb7", "#c2571a")
_INK, _SOFT, _GRID = "#1f2328", "#59636e", "#e4e7eb"


def _text(x: float, y: float, content: str, *, fill: str = _SOFT, anchor: str = "middle", extra: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}" fill="{fill}" text-anchor="{anchor}"{extra}>{content}</text>'


def _y(share: float) -> float:
    return _BOTTOM - share * (_BOTTOM - _TOP)


def _panel(left: float, slots: int, cases: Sequence[dict[str, Any]]) -> Iterator[str]:
    right = left + 4 * _STEP + 40
    yield _text(left - 8, 76, f"concurrency {slots}", fill=_INK, anchor="start", extra=' font-weight="600"')
    for percent in (0, 25, 50, 75, 100):
        y = _y(percent / 100)
        yield f'<line x1="{left - 8}" x2="{right}" y1="{y:g}" y2="{y:g}" stroke="{_GRID}"/>'
        yield _text(left - 14, y + 4, f"{percent}%", anchor="end", extra=' font-size="11"')
    keys = list(cases[0]["utilisation"])
    places = {key: left + 14 + i * _STEP + (16 if i == len(keys) - 1 else 0) for i, key in enumerate(keys)}
    for key, x in places.items():
        label = "async" if key == "asynchronous" else f"{key}&#215;"
        yield _text(x, _BOTTOM + 18, label, fill=_INK)
    middle = (places[keys[0]] + places[keys[-2]]) / 2
    yield _text(middle, _BOTTOM + 36, "batch_size / concurrency")
    divide = (places[keys[-2]] + places[keys[-1]]) / 2
    yield f'<line x1="{divide:g}" x2="{divide:g}" y1="{_TOP}" y2="{_BOTTOM}" stroke="#b8c0c8" stroke-dasharray="3 3"/>'
    for colour, case in zip(_COLOURS, cases, strict=True):
        points = [(places[key], _y(share), share) for key, share in case["utilisation"].items()]
        line = " ".join(f"{x:g},{y:.1f}" for x, y, _ in points[:-1])
        yield f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>'
        for x, y, share in points:
            yield f'<circle cx="{x:g}" cy="{y:.1f}" r="3.5" fill="{colour}"><title>{share:.1%}</title></circle>'
        if case is cases[0]:
            continue
        for x, y, share in points[:-1] if case is cases[1] else points:
            yield _text(x, y + 17, f"{share:.0%}", fill=colour, extra=' font-size="11"')


def figure(cases: Sequence[dict[str, Any]]) -> str:
    """Slot utilisation by the size of a batch, a line for each kind of duration and a panel for each concurrency."""
    title = "Slots in use, by the size of a batch"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'role="img" aria-label="{title}" font-family="system-ui, sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="6" fill="#ffffff"/>',
        _text(24, 28, title, fill=_INK, anchor="start", extra=' font-size="15" font-weight="600"'),
    ]
    x = 24
    for colour, case in zip(_COLOURS, cases, strict=False):
        parts.append(f'<circle cx="{x + 5}" cy="46" r="4.5" fill="{colour}"/>')
        label = f"{case['durations']} durations" if case is cases[0] else case["durations"]
        parts.append(_text(x + 15, 50, label, fill=_INK, anchor="start"))
        x += 155
    for slots, left in _PANELS.items():
        parts += _panel(left, slots, [case for case in cases if case["concurrency"] == slots])
    note = "Simulated: 64 trials a slot; async starts a trial whenever one ends."
    parts.append(_text(24, HEIGHT - 14, note, anchor="start", extra=' font-size="11"'))
    return "\n".join([*parts, "</svg>"]) + "\n"
