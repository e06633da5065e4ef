"""The study that a command names, loaded or refused in one line."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from flyteoptuna.cli.errors import Failure, UsageError, first

if TYPE_CHECKING:
    import optuna


STUDY_HELP = """STUDY is a path, a URL (s3://bucket/..., file://..., any that fsspec knows), or an execution of the
cluster that Flyte's configuration names: flyte://PROJECT/DOMAIN/EXECUTION, with /OUTPUT after it where the workflow
outputs several studies, or #NODE for the study of one node. Of an execution that still runs, or has failed, it is the
study as it stands. Nothing is unpickled."""


class Missing(Failure):
    """There is no study.

    Args:
        message: where it was looked for, and what there is instead.
        pending: whether it may still come.
    """

    def __init__(self, message: str, *, pending: bool) -> None:
        super().__init__(message)
        self.pending = pending


def load(source: str) -> optuna.Study:
    """The study at a source, untrusted; what is wrong with the source ends the command."""
    from flyteoptuna.show.load import load_study

    with refused(source):
        return load_study(source)


@contextmanager
def refused(source: str) -> Iterator[None]:
    """What is wrong with a source, in one line."""
    from flyteoptuna.show.stored_file import StudyNotFoundError
    from flyteoptuna.storage.read_results import StudyFormatError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except StudyFormatError as error:
        raise Failure(f"{source}: {first(error)}") from error
    except StudyNotFoundError as error:
        raise Missing(first(error), pending=error.pending) from error
    except ValueError as error:
        raise UsageError(first(error)) from error
