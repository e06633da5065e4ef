"""What ends a command: an error in one line."""

from __future__ import annotations

import click

from flyteoptuna.cli.tables import clean


class Failure(click.ClickException):
    """What could not be done, in one line that no file and no cluster can steer the terminal with."""

    def __init__(self, message: str) -> None:
        super().__init__(clean(message))


class UsageError(Failure):
    """What was asked for cannot be; ends with 2, as click's own errors of usage do."""

    exit_code = 2


def first(error: BaseException) -> str:
    """The first line of an error's message that is not blank."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "")


def line(error: BaseException) -> str:
    """An error in one line: its type, and the first line of its message."""
    return f"{type(error).__name__}: {first(error)}".removesuffix(": ")
