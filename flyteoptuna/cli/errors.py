"""Errors that end a command, in one line."""

from __future__ import annotations

import click

from flyteoptuna.cli.tables import printable


class CommandError(click.ClickException):
    """An error in one line of printable text; ends the command with exit code 1."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class UsageError(CommandError):
    """A wrong argument; ends the command with exit code 2, like the usage errors of click."""

    exit_code = 2


def first_line(error: BaseException) -> str:
    """The first non-blank line of an error message, without the type."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "")
