"""Text and tables in the width of the terminal, without control characters."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from flyteoptuna.streams import is_terminal

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


# Maximum length of a name or a value, characters.
MAX_TEXT = 200
# Width of output that is not a terminal, columns.
UNLIMITED_WIDTH = 100_000


def short_text(value: Any) -> str:
    """A value as text: a float with six significant digits, other text shortened."""
    if isinstance(value, float):
        return f"{value:.6g}"
    return truncate(value if isinstance(value, str) else str(value), MAX_TEXT)


def new_table(*headers: str) -> Table:
    """An empty table. A header with the prefix ``>`` aligns its column to the right."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD if is_terminal(sys.stdout) else None, pad_edge=False, show_edge=False)
    for header in headers:
        right = header.startswith(">")
        table.add_column(table_cell(header.lstrip(">")), justify="right" if right else "left", overflow="fold")
    return table


def print_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table, transposed if the terminal is too narrow."""
    table = new_table(*headers)
    for row in rows:
        table.add_row(*map(table_cell, row))
    if not fits_terminal(table):
        names, *others = zip(*rows, strict=True)
        table = new_table(headers[0], *(f">{name}" for name in names))
        for header, cells in zip(headers[1:], others, strict=True):
            table.add_row(header.lstrip(">"), *map(table_cell, cells))
    print_parts(table)


def table_cell(value: str) -> Any:
    """A value as printable text without markup."""
    from rich.text import Text

    return Text(printable(value))


def printable(value: str) -> str:
    """Text with U+FFFD for each control character, line break or change of writing direction."""
    # A foreign study must not control the terminal.
    return value if value.isprintable() else "".join(c if c.isprintable() else "\ufffd" for c in value)


def truncate(value: str, limit: int) -> str:
    """Text of at most ``limit`` characters."""
    return value if len(value) <= limit else f"{value[: limit - 3]}..."


def fits_terminal(table: Table) -> bool:
    """Test whether the terminal is wide enough for a table."""
    console = _console()
    return console.measure(table, options=console.options.update(width=UNLIMITED_WIDTH)).maximum <= console.width


def _console() -> Console:
    from rich.console import Console

    return (
        Console(highlight=False)
        if is_terminal(sys.stdout)
        else Console(file=io.StringIO(), width=UNLIMITED_WIDTH, color_system=None)
    )


def print_parts(*parts: Any) -> None:
    """Print text and tables. If standard output is not a terminal, each row is one line of any length."""
    console = _console()
    for part in parts:
        console.print(part, markup=False, soft_wrap=isinstance(part, str))
    if isinstance(console.file, io.StringIO):
        encoding = sys.stdout.encoding or "utf-8"
        for line in console.file.getvalue().splitlines():
            click.echo(line.rstrip().encode(encoding, "replace").decode(encoding))
