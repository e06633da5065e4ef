"""Text and tables on the terminal: aligned, as wide as it is, and steered by nothing that a study holds."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


MOST_CHARACTERS = 200
"""Most characters of a name or a value of a study."""

WIDE = 100_000
"""Columns of what is no terminal."""


def short(value: Any) -> str:
    """A value at six significant digits; a long text is cut."""
    if isinstance(value, float):
        return f"{value:.6g}"
    return cut(value if isinstance(value, str) else str(value), MOST_CHARACTERS)


def new_table(*headers: str) -> Table:
    """A table; headers that begin with ``>`` are those of columns of numbers."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD if sys.stdout.isatty() else None, pad_edge=False, show_edge=False)
    for header in headers:
        number = header.startswith(">")
        table.add_column(text(header.lstrip(">")), justify="right" if number else "left", overflow="fold")
    return table


def write_rows(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; where the terminal is too narrow for it, one with its rows as columns."""
    table = new_table(*headers)
    for row in rows:
        table.add_row(*map(text, row))
    if not fits(table):
        names, *others = zip(*rows, strict=True)
        table = new_table(headers[0], *(f">{name}" for name in names))
        for header, cells in zip(headers[1:], others, strict=True):
            table.add_row(header.lstrip(">"), *map(text, cells))
    write(table)


def text(value: str) -> Any:
    """A value as a cell of a table, without markup."""
    from rich.text import Text

    return Text(clean(value))


def clean(value: str) -> str:
    """Text in one line without control characters, and without those that turn the direction of writing."""
    # A study may come from anywhere, and what it holds must not steer the terminal.
    return value if value.isprintable() else "".join(c if c.isprintable() else "\ufffd" for c in value)


def cut(value: str, most: int) -> str:
    """Text of at most so many characters."""
    return value if len(value) <= most else f"{value[: most - 3]}..."


def fits(table: Table) -> bool:
    """Whether a table is no wider than the terminal."""
    console = _console()
    return console.measure(table, options=console.options.update(width=WIDE)).maximum <= console.width


def _console() -> Console:
    from rich.console import Console

    return (
        Console(highlight=False) if sys.stdout.isatty() else Console(file=io.StringIO(), width=WIDE, color_system=None)
    )


def write(*parts: Any) -> None:
    """Print text and tables; where standard output is no terminal, a row a line, however long."""
    console = _console()
    for part in parts:
        console.print(part, markup=False, soft_wrap=isinstance(part, str))
    if isinstance(console.file, io.StringIO):
        encoding = sys.stdout.encoding or "utf-8"
        for line in console.file.getvalue().splitlines():
            click.echo(line.rstrip().encode(encoding, "replace").decode(encoding))
