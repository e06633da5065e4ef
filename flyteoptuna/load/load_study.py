"""Load a study from a path, a URL, or a Flyte execution."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import optuna

from flyteoptuna.errors import StudyFormatError, StudyNotFoundError
from flyteoptuna.journal.entries import entry_name
from flyteoptuna.load import execution
from flyteoptuna.load.execution import ExecutionSource, Phase
from flyteoptuna.load.export import DATABASES
from flyteoptuna.load.journal_folder import find_journal, load_journal_study
from flyteoptuna.load.stored_file import parse_study, read_stored_file
from flyteoptuna.storage.local_studies import UNFINISHED, find_local_study, resolve_latest
from flyteoptuna.storage.untrusted import set_pickles_aside
from flyteoptuna.values.did_you_mean import names_arguments, value_and_type
from flyteoptuna.values.paths import path_text
from flyteoptuna.values.text import exception_line
from flyteoptuna.values.tracebacks import public

if TYPE_CHECKING:
    from flytekit.remote import FlyteRemote

    from flyteoptuna.journal.backend import JournalObjectBackend
    from flyteoptuna.storage.search_study import SearchStudy

SCHEME = "flyte://"
SYNTAX = "flyte://PROJECT/DOMAIN/EXECUTION, with /OUTPUT or #NODE after it to say which study"

# The first bytes of Optuna's own files, and what they are.
_OPTUNA_FILES = {b"SQLite format 3\0": "database", b'{"op_code":': "journal"}
_OPTUNA_HINT = "which Optuna's own load_study reads: optuna.load_study(study_name=..., storage=...)"

_SOURCE_PATTERN = re.compile(r"flyte://([^/#]+)/([^/#]+)/([^/#]+)(?:/([^/#]+)|#([^/#]+))?/?")


@public
@names_arguments
def load_study(
    source: str | os.PathLike[str], *, trusted: bool = False, remote: FlyteRemote | None = None
) -> optuna.Study:
    """Load the study of a search.

    From an execution, it loads the study that the workflow outputs. If the workflow has no such output yet, it loads
    the latest study among the inputs and outputs of the nodes, with the reports of the last batch or the trials in the
    journal of reused pods.

    Args:
        source: a path, or a URL that fsspec supports, read with the credentials of Flyte's configuration, of a study's
            file or of the folder of a journal; ``flyte://project/domain/execution``, with ``/output`` after it if the
            workflow outputs several studies, or ``#node`` for the study of one node, by its id; or ``latest``, the
            study of the latest local search of this user, whether it runs, has ended or was killed.
        trusted: whether to restore the sampler, the pruner and the callbacks, to continue the study. This unpickles:
            use it only for files that no one else can write. By default nothing is unpickled, neither now nor when
            ``outputs`` reads an output of a trial; the results are complete.
        remote: the cluster of the execution. Default: the one in Flyte's configuration.

    Returns:
        The study, in memory.

    Raises:
        StudyNotFoundError: there is no study, it cannot be reached, or there are several.
        StudyFormatError: the content is not a study.
        TypeError: ``source`` is not a path, ``trusted`` is not a bool, or ``remote`` is not a ``FlyteRemote``.
        ValueError: ``source`` is empty, or a malformed ``flyte://`` source.
    """
    # Exactly a bool: a truthy value such as "no" must not unpickle a foreign file.
    if not isinstance(trusted, bool):
        raise TypeError(f"`trusted` must be True or False, but got {value_and_type(trusted)}.")
    text = path_text("source", source, f"a path, a URL or {SCHEME}...")
    check_remote(remote)
    # A path object is no word.
    text = resolve_latest(text) if isinstance(source, str) else text
    scheme, separator, _ = text.partition("://")
    if separator and scheme.partition("+")[0] in DATABASES:
        raise StudyFormatError(f"Not a study file, but a database, {_OPTUNA_HINT}")
    if text.startswith(SCHEME):
        with _connect(text, remote) as (parsed, cluster):
            study = execution.find_study(cluster, parsed).load(trusted=trusted)
    else:
        study = _load_stored(text, trusted=trusted)
    if not trusted:
        set_pickles_aside(study)
    study.file = text if "://" in text else os.path.abspath(text)
    return study


def check_remote(remote: object) -> None:
    """Raise a ``TypeError`` unless the argument ``remote`` is a ``FlyteRemote`` or None."""
    if remote is None:
        return
    from flytekit.remote.remote import FlyteRemote

    if not isinstance(remote, FlyteRemote):
        raise TypeError(f"`remote` must be a flytekit.remote.FlyteRemote, but got {value_and_type(remote)}.")


def _load_stored(path: str, *, trusted: bool) -> SearchStudy:
    """Load the study in a file, or of a journal in a folder."""
    if os.path.isdir(path):
        if not os.path.exists(os.path.join(path, entry_name(0))):
            raise StudyNotFoundError(f"There is no journal in the folder {path}")
        return load_journal_study(path, trusted=trusted)
    try:
        content = read_stored_file(path)
    except StudyNotFoundError:
        if find_journal(path) is None:
            raise
        return load_journal_study(path, trusted=trusted)
    # s3fs reads a folder as an empty file.
    if not content and find_journal(path) is not None:
        return load_journal_study(path, trusted=trusted)
    for prefix, kind in _OPTUNA_FILES.items():
        if content.startswith(prefix):
            raise StudyFormatError(f"Not a study file, but a {kind}, {_OPTUNA_HINT}")
    return parse_study(content, trusted=trusted)


def load_journal(source: str | os.PathLike[str], *, remote: FlyteRemote | None = None) -> JournalObjectBackend | None:
    """Open the journal of a search with reused pods, read-only; None for any other study.

    Of an execution, it is the journal only while the search runs.

    Args:
        source: see ``load_study``.
        remote: see ``load_study``.

    Raises:
        StudyNotFoundError: there is no study, or the journal cannot be reached.
        ValueError: a malformed ``flyte://`` source.
    """
    text = os.fspath(source)
    if not text.startswith(SCHEME):
        return find_journal(text)
    with _connect(text, remote) as (parsed, cluster):
        journal = execution.find_study(cluster, parsed).journal
        return None if journal is None else journal.open()


def source_phase(source: str | os.PathLike[str], *, remote: FlyteRemote | None = None) -> Phase:
    """The phase of an execution; an empty one for any other source.

    A local search that no process runs has the phase ``UNFINISHED``, which its study may contradict.

    Args:
        source: see ``load_study``.
        remote: see ``load_study``.

    Raises:
        StudyNotFoundError: there is no such execution or node, or the cluster cannot be reached.
        ValueError: a malformed ``flyte://`` source.
    """
    text = os.fspath(source)
    if not text.startswith(SCHEME):
        local = find_local_study(text)
        return Phase() if local is None or local.is_running else Phase(UNFINISHED, ended=True)
    with _connect(text, remote) as (parsed, cluster):
        return execution.fetch_phase(cluster, parsed)


@contextmanager
def _connect(source: str, remote: FlyteRemote | None) -> Iterator[tuple[ExecutionSource, FlyteRemote]]:
    """Parse a ``flyte://`` source, and use the file access of its cluster in the body."""
    from flytekit.configuration import Config
    from flytekit.remote import FlyteRemote

    match = _SOURCE_PATTERN.fullmatch(source)
    if match is None:
        raise ValueError(f"`{source}` is no execution: expected {SYNTAX}.")
    parsed = ExecutionSource(*match.groups())
    check_remote(remote)
    try:
        remote = remote or FlyteRemote(Config.auto())
        with remote.remote_context():
            yield parsed, remote
    except (StudyNotFoundError, StudyFormatError):
        raise
    except Exception as error:
        # gRPC, authentication and flytekit's client raise any type.
        raise StudyNotFoundError(f"{parsed} is out of reach: {exception_line(error)}") from error
