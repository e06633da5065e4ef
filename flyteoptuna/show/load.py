"""A study that is stored somewhere, found and loaded: a path, a URL, or an execution of a Flyte cluster."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import optuna

from flyteoptuna.core.refusal_words import got
from flyteoptuna.show import execution
from flyteoptuna.show.execution import Place
from flyteoptuna.show.export import DATABASES
from flyteoptuna.show.stored_file import StudyNotFoundError, contents, reason
from flyteoptuna.storage import file
from flyteoptuna.storage.memory import SearchStudy
from flyteoptuna.storage.read_results import StudyFormatError

if TYPE_CHECKING:
    from flytekit.remote import FlyteRemote

    from flyteoptuna.journal.backend import JournalObjectBackend

SCHEME = "flyte://"
SYNTAX = "flyte://PROJECT/DOMAIN/EXECUTION, with /OUTPUT or #NODE after it to say which study"

_OPTUNAS = {b"SQLite format 3\0": "database", b'{"op_code":': "journal"}
"""With what the files begin in which Optuna itself keeps studies, and what they are."""
_READS = "which Optuna's own load_study reads: optuna.load_study(study_name=..., storage=...)"

_EXECUTION = re.compile(r"flyte://([^/#]+)/([^/#]+)/([^/#]+)(?:/([^/#]+)|#([^/#]+))?/?")


def load_study(
    source: str | os.PathLike[str], *, trusted: bool = False, remote: FlyteRemote | None = None
) -> optuna.Study:
    """Load the study of a search from where it is stored.

    Of an execution it is the study that the workflow outputs. If it outputs none, or has not ended, it is the latest
    one that any node got or made: what a running or a failed search knew last, with the reports of its last batch, or
    all that the journal of reused pods holds.

    Args:
        source: a path; a URL that fsspec knows, read with the credentials that Flyte is configured with; or
            ``flyte://project/domain/execution``, with ``/output`` after it where a workflow outputs several studies,
            or ``#node`` for the study of a node, by its id.
        trusted: whether to restore the sampler, the pruner and the callbacks, to go on with the study. It unpickles:
            only for files that nobody else can write. Otherwise nothing is unpickled, and the results are complete.
        remote: the cluster of the execution. Default: the one that Flyte's configuration names.

    Returns:
        The study, in memory.

    Raises:
        StudyNotFoundError: there is no study, it is out of reach, or there are several.
        StudyFormatError: what is stored there is not a study.
        TypeError: ``source`` is no path, or ``trusted`` no bool.
        ValueError: a ``flyte://`` source of another form, or an empty one.
    """
    # Exactly a bool: what is true by accident, as "no" is, must not run a stranger's pickles.
    if not isinstance(trusted, bool):
        raise TypeError(f"`trusted` must be True or False, but got {got(trusted)}.")
    if not isinstance(source, (str, os.PathLike)) or not isinstance(text := os.fspath(source), str):
        raise TypeError(f"`source` must be a path, a URL or {SCHEME}..., but got {got(source)}.")
    if not text.strip():
        raise ValueError(f"`source` must be a path, a URL or {SCHEME}..., but got {got(source)}.")
    load = file.loads if trusted else file.read
    scheme, separator, _ = text.partition("://")
    if separator and scheme.partition("+")[0] in DATABASES:
        raise StudyFormatError(f"Not a study file, but a database, {_READS}")
    if text.startswith(SCHEME):
        with _reached(text, remote) as (place, cluster):
            study = execution.find(cluster, place).load(load)
    else:
        content = contents(text)
        for begin, kind in _OPTUNAS.items():
            if content.startswith(begin):
                raise StudyFormatError(f"Not a study file, but a {kind}, {_READS}")
        study = load(content)
    if isinstance(study, SearchStudy):
        study.file = text if "://" in text else os.path.abspath(text)
    return study


def load_journal(source: str | os.PathLike[str], *, remote: FlyteRemote | None = None) -> JournalObjectBackend | None:
    """The journal of a search with reused pods that has not ended, read-only; None where a study is stored otherwise.

    Args:
        source: as of :func:`load_study`.
        remote: as of :func:`load_study`.

    Raises:
        StudyNotFoundError: there is no study, or the journal is out of reach.
        ValueError: a ``flyte://`` source of another form.
    """
    text = os.fspath(source)
    if not text.startswith(SCHEME):
        return None
    with _reached(text, remote) as (place, cluster):
        found = execution.find(cluster, place)
        return None if found.journal is None else found.journal.open()


def phase(source: str | os.PathLike[str], *, remote: FlyteRemote | None = None) -> tuple[str, bool]:
    """The phase of an execution, and whether it has ended; nothing, and False, of a source of another kind.

    Args:
        source: as of :func:`load_study`.
        remote: as of :func:`load_study`.

    Raises:
        StudyNotFoundError: there is no such execution, no such node, or the cluster is out of reach.
        ValueError: a ``flyte://`` source of another form.
    """
    text = os.fspath(source)
    if not text.startswith(SCHEME):
        return "", False
    with _reached(text, remote) as (place, cluster):
        return execution.phase(cluster, place)


@contextmanager
def _reached(source: str, remote: FlyteRemote | None) -> Iterator[tuple[Place, FlyteRemote]]:
    """Where a ``flyte://`` source is, and its cluster, whose file access holds within; what fails is one error."""
    from flytekit.configuration import Config
    from flytekit.remote import FlyteRemote

    match = _EXECUTION.fullmatch(source)
    if match is None:
        raise ValueError(f"`{source}` is no execution: expected {SYNTAX}.")
    place = Place(*match.groups())
    try:
        remote = remote or FlyteRemote(Config.auto())
        with remote.remote_context():
            yield place, remote
    except (StudyNotFoundError, StudyFormatError):
        raise
    except Exception as error:
        # Whatever gRPC, authentication and flytekit's client make of a cluster that is out of reach.
        raise StudyNotFoundError(f"{place} is out of reach: {reason(error)}") from error
