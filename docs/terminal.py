"""Makes docs/terminal.svg of what the first search writes into a terminal of 80 columns. Needs pyte and scikit-learn.

python docs/terminal.py
"""

import fcntl
import itertools
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import pyte
from rich.console import Console
from rich.style import Style
from rich.text import Text

ROOT = Path(__file__).parent.parent
COMMAND = "pyflyte run examples/first_search.py tune --n_trials 40"
COLUMNS, ROWS = 80, 24
SVG = """<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{
  font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: {char_height}px;
  line-height: {line_height}px;
}}
{styles}
</style>
<defs>{lines}</defs>
<rect fill="#292929" width="{width}" height="{height}" rx="8"/>
<g transform="translate({terminal_x}, 20)">
{backgrounds}
<g class="{unique_id}-matrix">{matrix}</g>
</g>
</svg>
"""
COLOURS = {"brown": "yellow", **{name: name for name in ("black", "red", "green", "blue", "magenta", "cyan", "white")}}
"""Those that pyte gives a name; it calls yellow brown, and has six digits for each other one."""


def screen() -> pyte.Screen:
    """What stands in a terminal after the command has run in it."""
    here, there = pty.openpty()
    fcntl.ioctl(there, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    made = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.ByteStream(made)
    stream.feed(f"$ {COMMAND}\r\n".encode())
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "TERM": "xterm-256color", "PATH": path}
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), there)
    with subprocess.Popen(COMMAND.split(), cwd=ROOT, env=environment, **streams):  # noqa: S603 - the one above
        os.close(there)
        while True:
            try:
                stream.feed(os.read(here, 4096))
            except OSError:
                # The other side is closed.
                return made


def style(char: Any) -> Style:
    """The colour of a character."""
    known = char.fg == "default" or char.fg in COLOURS
    return Style(color=COLOURS.get(char.fg, char.fg) if known else f"#{char.fg}", bold=char.bold)


def lines(made: pyte.Screen) -> list[Text]:
    """The rows of a screen down to the last one that is not empty, with their colours."""
    found = []
    for y in range(ROWS):
        runs = itertools.groupby((made.buffer[y][x] for x in range(COLUMNS)), style)
        found.append(Text.assemble(*(("".join(char.data for char in run), each) for each, run in runs), no_wrap=True))
    while not found[-1].plain.strip():
        found.pop()
    return found


def main() -> None:
    """Write the picture."""
    with open(os.devnull, "w") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True, color_system="truecolor")
        for line in lines(screen()):
            console.print(line)
        (ROOT / "docs" / "terminal.svg").write_text(console.export_svg(code_format=SVG))


if __name__ == "__main__":
    main()
