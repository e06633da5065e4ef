"""Load the study of a command, with errors in one line."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from flyteoptuna.cli.errors import CommandError, UsageError, first_line
from flyteoptuna.storage.local_studies import resolve_latest

if TYPE_CHECKING:
    import optuna

_F = TypeVar("_F", bound=Callable[..., Any])

STUDY_HELP = """STUDY is `latest`, the latest local search; a path or a URL (s3://bucket/..., file://..., any that
fsspec knows) of a study's file or of the folder of a journal; or an execution of the cluster that Flyte's
configuration names: flyte://PROJECT/DOMAIN/EXECUTION, with /OUTPUT after it where the workflow outputs several
studies, or #NODE for the study of one node. Of an execution that still runs, or has failed, it is the study as it
stands. Nothing is unpickled."""


def _resolve_study(ctx: click.Context, param: click.Parameter, value: str) -> str:
    with convert_errors(value):
        return resolve_latest(value)


def study_argument(command: _F) -> _F:
    """Decorator: take the argument STUDY, in which ``latest`` becomes a path."""
    return click.argument("study", metavar="STUDY", callback=_resolve_study)(command)


class StudyMissingError(CommandError):
    """There is no study.

    Args:
        message: the source and the reason.
        pending: whether a running execution may still create it.
    """

    def __init__(self, message: str, *, pending: bool) -> None:
        super().__init__(message)
        self.pending = pending


def load_source(source: str) -> optuna.Study:
    """Load a study without unpickling anything. An error ends the command."""
    from flyteoptuna.load.load_study import load_study

    with convert_errors(source):
        return load_study(source)


@contextmanager
def convert_errors(source: str) -> Iterator[None]:
    """Turn the errors of a source into errors of the command, in one line."""
    from flyteoptuna.errors import StudyFormatError, StudyNotFoundError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except StudyFormatError as error:
        raise CommandError(f"{source}: {first_line(error)}") from error
    except StudyNotFoundError as error:
        raise StudyMissingError(first_line(error), pending=error.pending) from error
    except ValueError as error:
        raise UsageError(first_line(error)) from error
