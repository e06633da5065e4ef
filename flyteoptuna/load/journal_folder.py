"""Load a study from the folder of its journal, which a search with reused pods writes."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from optuna.storages import JournalStorage

from flyteoptuna.errors import JournalError, StoreError, StudyFormatError, StudyNotFoundError
from flyteoptuna.load.stored_file import parse_study, read_stored_file, refuse_special
from flyteoptuna.storage import file_format
from flyteoptuna.storage.search_study import SearchStudy
from flyteoptuna.study.system_attrs import find_search_mark
from flyteoptuna.values.did_you_mean import join_names
from flyteoptuna.values.text import exception_line

if TYPE_CHECKING:
    from flyteoptuna.journal.backend import JournalObjectBackend

_T = TypeVar("_T")

# Time for which a request that fails is tried again while a user waits, seconds.
PATIENCE = 5.0


def open_journal(url: str, *, of_search: bool = False) -> JournalObjectBackend:
    """Open the journal in a folder, read-only, with the credentials of Flyte's configuration.

    Args:
        url: path or URL of the folder.
        of_search: whether its records must be those of a search.

    Raises:
        StudyNotFoundError: there is no journal, or it cannot be read.
    """
    from flytekit.core.context_manager import FlyteContextManager

    from flyteoptuna.journal.backend import JournalObjectBackend
    from flyteoptuna.study.shared.search_records import SearchJournal

    kind = SearchJournal if of_search else JournalObjectBackend
    try:
        if os.path.isdir(folder := url.removeprefix("file://")):
            for path in Path(folder).iterdir():
                # Writers remove temporary files meanwhile.
                with suppress(FileNotFoundError):
                    refuse_special(str(path), path.stat())
        fs = FlyteContextManager.current_context().file_access.get_filesystem_for_path(url)
        backend = kind(url, fs=fs, read_only=True, patience=PATIENCE)
        backend.check()
    except StudyNotFoundError:
        raise
    except Exception as error:
        # File systems raise any type.
        raise StudyNotFoundError(f"The journal {url} cannot be read: {exception_line(error)}") from error
    return backend


def find_journal(path: str) -> JournalObjectBackend | None:
    """Open the journal in a folder, by its path or URL; None if the path or URL is not that of a folder with one."""
    if "://" not in path and not os.path.isdir(path):
        return None
    try:
        return open_journal(path)
    except StudyNotFoundError:
        return None


def load_journal_study(url: str, *, trusted: bool) -> SearchStudy:
    """Load the study of the journal in a folder, as it stands.

    Args:
        url: path or URL of the folder.
        trusted: whether to restore the sampler, the pruner and the callbacks, which unpickles.

    Raises:
        StudyNotFoundError: there is no journal, it cannot be read, or it holds no study or several.
        StudyFormatError: an entry is not what a journal holds.
    """
    from flyteoptuna.study.shared.journal_study import BEGUN

    path = f"{url.rstrip('/')}/{BEGUN}"
    try:
        content = read_stored_file(path)
    except StudyNotFoundError as error:
        found = _only_study(open_journal(url), url)
        if trusted and find_search_mark(found) is not None:
            raise StudyNotFoundError(f"The sampler of the journal {url} cannot be restored: {error}") from error
        return _checked(found, url)
    base = parse_study(content, trusted=trusted)
    search = find_search_mark(base)
    if search is None or search.n_trials is None:
        raise StudyFormatError(f"{path} is of no search.")
    return collect_search(open_journal(url, of_search=True), base, search.n_trials, url, trusted=trusted)


def collect_search(
    backend: JournalObjectBackend, base: SearchStudy, n_trials: int, url: str, *, trusted: bool
) -> SearchStudy:
    """Read the study of a search from its journal; of a damaged one, what precedes the damage, with a warning.

    Args:
        backend: the journal.
        base: the study with which the search began.
        n_trials: number of trials of the search.
        url: the journal, for messages.
        trusted: whether its records need no check, and the sampler of ``base`` is kept.

    Raises:
        StudyNotFoundError: the journal cannot be read.
        StudyFormatError: the journal is damaged, or not that of the search.
    """
    from flyteoptuna.study.shared.journal_study import collect_study

    try:
        _require_intact_entry(backend)
        collected, ending = collect_study(backend, base, n_trials)
    except StoreError as error:
        raise StudyNotFoundError(f"The journal {url} cannot be read: {error}") from error
    except Exception as error:
        # A journal that is not from a search, or has been damaged, causes any type.
        reason = exception_line(error)
        raise StudyFormatError(f"The journal {url} is not that of the study: {reason}") from error
    study = collected if trusted else _checked(collected, url)
    study.failure = ending.why if ending.failed else ""
    return study


def _require_intact_entry(backend: JournalObjectBackend) -> None:
    """Let a journal serve the entries before any damage, with a warning; raises ``JournalError`` if there are none."""
    from flyteoptuna.study.shared.journal_study import warn_of_damage

    damage = backend.fetch_intact()
    if damage and not backend.n_records:
        raise JournalError(damage)
    if damage:
        warn_of_damage(damage)


def _only_study(backend: JournalObjectBackend, url: str) -> SearchStudy:
    """Copy the study of a journal that no search wrote, such as one of plain Optuna."""
    from flyteoptuna.study.shared.shared_study import copy_with_trials

    def read() -> list[SearchStudy]:
        _require_intact_entry(backend)
        storage = JournalStorage(backend)
        return [SearchStudy(each.study_name, storage) for each in storage.get_all_studies()]

    studies = _convert_errors(read, url)
    if len(studies) != 1:
        names = join_names(study.study_name for study in studies)
        raise StudyNotFoundError(
            f"The journal {url} must hold one study, but holds {len(studies)} ({names}), which Optuna's own load_study "
            "reads: optuna.load_study(study_name=..., storage=JournalStorage(JournalObjectBackend(...)))"
        )
    [study] = studies
    return _convert_errors(lambda: copy_with_trials(study, study.get_trials(deepcopy=False)), url)


def _checked(study: SearchStudy, url: str) -> SearchStudy:
    """Check a study as one in a file is, because Optuna takes records as they are."""
    return _convert_errors(lambda: file_format.read_study(file_format.dump_study(study, pickles=False)), url)


def _convert_errors(read: Callable[[], _T], url: str) -> _T:
    try:
        return read()
    except StoreError as error:
        raise StudyNotFoundError(f"The journal {url} cannot be read: {error}") from error
    except Exception as error:
        # Records that are not Optuna's cause any type.
        raise StudyFormatError(f"The journal {url} holds no study: {exception_line(error)}") from error
