"""Pieces of a page: escaped text, tiles, tables, sections, and the fragment around them."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from importlib.resources import files

from flyteoptuna.show.page.axis import number


def plain(value: object) -> str:
    """A value as text, neither cut nor escaped."""
    return number(value) if isinstance(value, float) else str(value)


def short(value: object, limit: int) -> str:
    """A value in one line, cut."""
    shown = plain(value)[: limit + 1]
    if not shown.isprintable():
        shown = "".join(c if c.isprintable() else " " for c in shown)
    return shown if len(shown) <= limit else shown[: limit - 1].rstrip() + "\N{HORIZONTAL ELLIPSIS}"


def text(value: object, limit: int) -> str:
    """A value in one line, cut and escaped."""
    return html.escape(short(value, limit))


def path(name: str, limit: int) -> str:
    """A dotted path or another name, cut, escaped, and broken between its words alone, if it has any."""
    words = re.sub(r"([._/:-])(?=[^._/:-])", r"\1<wbr/>", text(name, limit))
    # A name in another direction of writing must not turn what stands around it.
    return f"<bdi>{words}</bdi>"


def widest(name: str, limit: int) -> int:
    """Characters of the longest word of a name, as :func:`path` shows it."""
    return max(map(len, re.split(r"(?<=[._/:-])", short(name, limit))))


def tile(head: str, value: str, foot: str, below: str = "") -> str:
    """A frame around one large value."""
    return (
        f'<div class="tile"><span class="muted">{head}</span><b>{value}</b><div class="muted">{foot}</div>{below}</div>'
    )


def note(words: str) -> str:
    """A line of lesser weight; nothing where there are no words."""
    return f'<p class="muted">{words}</p>' if words else ""


def section(title: str, *body: str) -> str:
    """A title and what stands below it; nothing where nothing does."""
    inner = "".join(body)
    return f"<section><h3>{title}</h3>{inner}</section>" if inner else ""


def table(head: Sequence[str], rows: Sequence[Sequence[tuple[str, str]]], kind: str = "") -> str:
    """A table of cells, each a CSS class and its HTML; ``kind`` is the table's own class."""
    heads = "".join(f'<th class="{style}">{name}</th>' for name, (style, _) in zip(head, rows[0], strict=True))
    body = "".join("<tr>" + "".join(f'<td class="{c}">{text}</td>' for c, text in row) + "</tr>" for row in rows)
    return f'<div class="box"><table class="{kind}"><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>'


def pairs(rows: Sequence[tuple[str, str]]) -> str:
    """Names and their values, side by side."""
    return '<dl class="pairs">' + "".join(f"<div><dt>{k}</dt><dd>{v}</dd></div>" for k, v in rows) + "</dl>"


def asset(name: str) -> str:
    """A file of the page's own look and feel."""
    return (files("flyteoptuna.show.page") / "look" / name).read_text("utf-8")


def wrap(page: str, data: str = "") -> str:
    """The fragment: style, the page, and the script with its data, where there are any; all of it ASCII.

    Args:
        page: HTML, whose other characters become references, which survive any encoding of the page.
        data: JSON in ASCII, for the script.
    """
    script = ""
    if data:
        # In a script, nothing but its end is markup.
        inner = data.replace("<", "\\u003c")
        script = f'<script type="application/json">{inner}</script><script>{asset("page.js")}</script>'
    body = page.encode("ascii", "xmlcharrefreplace").decode()
    return f'<div class="flyteoptuna"><style>{asset("page.css")}</style>{body}{script}</div>'


def document(fragment: str, title: str) -> str:
    """A whole document around a fragment; the title is escaped."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"/>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>'
        '<meta name="color-scheme" content="light dark"/>'
        f"<title>{title.encode('ascii', 'xmlcharrefreplace').decode()}</title>"
        "<style>html{background:#fff}body{margin:0}@media (prefers-color-scheme:dark){html{background:#14171c}}</style>"
        f"</head><body>{fragment}</body></html>\n"
    )
