"""HTML elements of a page: escaped text, tiles, tables, sections, and the fragment around them."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from importlib.resources import files

from flyteoptuna.page.axis import format_number


def format_value(value: object) -> str:
    """A value as text, not shortened, not escaped."""
    return format_number(value) if isinstance(value, float) else str(value)


def shorten(value: object, limit: int) -> str:
    """A value as one line of at most ``limit`` characters."""
    text = format_value(value)[: limit + 1]
    if not text.isprintable():
        text = "".join(c if c.isprintable() else " " for c in text)
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "\N{HORIZONTAL ELLIPSIS}"


def escape_text(value: object, limit: int) -> str:
    """A value as one escaped line of at most ``limit`` characters before escaping."""
    return html.escape(shorten(value, limit))


def escape_block(text: str, limit: int) -> str:
    """The end of a text as escaped lines of at most ``limit`` characters in all, before escaping.

    The last lines of a traceback say most.
    """
    cut = text if len(text) <= limit else "\N{HORIZONTAL ELLIPSIS}" + text[1 - limit :]
    return "&#10;".join(escape_text(line, limit) for line in cut.splitlines())


def name_html(name: str, limit: int) -> str:
    """A name as HTML, shortened and escaped, with line breaks only between its words."""
    words = re.sub(r"([._/:-])(?=[^._/:-])", r"\1<wbr/>", escape_text(name, limit))
    # Isolated, because a right-to-left name must not reorder the text around it.
    return f"<bdi>{words}</bdi>"


def longest_word(name: str, limit: int) -> int:
    """Length of the longest word of a name, as ``name_html`` breaks it, characters."""
    return max(map(len, re.split(r"(?<=[._/:-])", shorten(name, limit))))


def tile(head: str, value: str, foot: str, below: str = "") -> str:
    """A tile with one large value."""
    return (
        f'<div class="tile"><span class="muted">{head}</span><b>{value}</b><div class="muted">{foot}</div>{below}</div>'
    )


def note_html(text: str) -> str:
    """A muted paragraph; empty if there is no text."""
    return f'<p class="muted">{text}</p>' if text else ""


def section(title: str, *body: str) -> str:
    """A section with a title; empty if its body is."""
    inner = "".join(body)
    return f"<section><h3>{title}</h3>{inner}</section>" if inner else ""


def table_html(head: Sequence[str], rows: Sequence[Sequence[tuple[str, str]]], kind: str = "") -> str:
    """A table whose cells are pairs of CSS class and HTML; ``kind`` is the class of the table."""
    heads = "".join(f'<th class="{style}">{name}</th>' for name, (style, _) in zip(head, rows[0], strict=True))
    body = "".join("<tr>" + "".join(f'<td class="{c}">{text}</td>' for c, text in row) + "</tr>" for row in rows)
    return f'<div class="box"><table class="{kind}"><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>'


def pairs_html(rows: Sequence[tuple[str, str]]) -> str:
    """A list of names and values."""
    return '<dl class="pairs">' + "".join(f"<div><dt>{k}</dt><dd>{v}</dd></div>" for k, v in rows) + "</dl>"


def read_asset(name: str) -> str:
    """Text of a style sheet or script of the page."""
    return (files("flyteoptuna.page") / "assets" / name).read_text("utf-8")


def page_fragment(page: str, data: str = "") -> str:
    """An ASCII fragment of style sheet, page, and, if there are data, the script.

    Args:
        page: HTML. Characters outside ASCII become references, so that any encoding of the document works.
        data: ASCII JSON for the script.
    """
    script = ""
    if data:
        # Within a script, only its end tag is markup.
        inner = data.replace("<", "\\u003c")
        script = f'<script type="application/json">{inner}</script><script>{read_asset("page.js")}</script>'
    body = page.encode("ascii", "xmlcharrefreplace").decode()
    return f'<div class="flyteoptuna"><style>{read_asset("page.css")}</style>{body}{script}</div>'


def page_document(fragment: str, title: str) -> str:
    """A complete document around a fragment; ``title`` is escaped already."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"/>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>'
        '<meta name="color-scheme" content="light dark"/>'
        f"<title>{title.encode('ascii', 'xmlcharrefreplace').decode()}</title>"
        "<style>html{background:#fff}body{margin:0}@media (prefers-color-scheme:dark){html{background:#14171c}}</style>"
        f"</head><body>{fragment}</body></html>\n"
    )
