"""Recent local studies of this user: links to them in a folder for temporary files, named by start and process."""

from __future__ import annotations

import os
import stat
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from flyteoptuna.errors import StudyNotFoundError

if TYPE_CHECKING:
    from typing_extensions import Self

# Phase of a local search that no process runs, before its last trial has ended.
UNFINISHED = "UNFINISHED"
# Source that stands for the latest local study.
LATEST = "latest"
# Maximum number of studies that are linked.
MAX_STUDIES = 100


# Number of no process.
ENDED = 0


class LocalStudy(NamedTuple):
    """A study of a local search.

    Attributes:
        path: its file, or the folder of its journal.
        start: start of the search, seconds since the epoch.
        pid: number of the process that runs or ran it; ``ENDED`` once it runs no more.
    """

    path: str
    start: float
    pid: int

    @property
    def is_running(self) -> bool:
        """Whether a process runs the search."""
        import psutil

        if self.pid == ENDED:
            return False
        try:
            # A later process may have the same number.
            return bool(psutil.Process(self.pid).create_time() <= self.start)
        except psutil.Error:
            return False


class StudyLink:
    """The link to the study of a search, which this process runs in the body of the context manager.

    A link is a convenience: where it cannot be made, as on a full disk, there is none.

    Args:
        path: the study; None for no link.
    """

    def __init__(self, path: str | os.PathLike[str] | None) -> None:
        self._link: Path | None = None
        if path is None:
            return
        with suppress(OSError):
            folder = _folder()
            folder.mkdir(mode=0o700, exist_ok=True)
            if _is_own_folder(folder):
                _remove_old(folder)
                self._link = folder / f"{time.time_ns()}-{os.getpid()}"
                self.move(path)

    def move(self, path: str | os.PathLike[str]) -> None:
        """Let the link point to another path of the study."""
        if self._link is not None:
            with suppress(OSError):
                new = self._link.with_suffix(".new")
                new.symlink_to(os.path.abspath(path))
                new.replace(self._link)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # The process may go on, as that of a notebook does.
        if self._link is not None:
            with suppress(OSError):
                self._link.rename(self._link.with_name(f"{self._link.name.partition('-')[0]}-{ENDED}"))


def local_studies() -> list[LocalStudy]:
    """The local studies of this user that exist, the latest first.

    Others can write to a shared folder for temporary files. Links count only in a folder of this user that nobody else
    can write to, and files only if they and their folder are of this user.
    """
    folder = _folder()
    if not _is_own_folder(folder):
        return []
    return [study for _, study in _links(folder) if _is_own_study(study)]


def find_local_study(path: str) -> LocalStudy | None:
    """The local study at a path; None if it is not known."""
    real = os.path.realpath(path)
    return next((study for study in local_studies() if os.path.realpath(study.path) == real), None)


def resolve_latest(source: str) -> str:
    """Replace the source ``latest`` by the path of the latest local study; return any other source.

    Raises:
        StudyNotFoundError: there is no local study.
    """
    if source != LATEST:
        return source
    study = next(iter(local_studies()), None)
    if study is None:
        raise StudyNotFoundError(f"{no_study_line()} If a file is meant, write ./{LATEST}.")
    return study.path


def no_study_line() -> str:
    """Sentence for a user who has no local study."""
    return f"No local study is here yet: each search on this machine makes one, with a link in {_folder()}."


def _folder() -> Path:
    # Windows has a folder for temporary files for each user.
    user = getattr(os, "getuid", lambda: 0)()
    return Path(tempfile.gettempdir(), f"flyteoptuna-{user}")


def _is_own_folder(folder: Path) -> bool:
    try:
        status = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and _is_own(status) and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _is_own(status: os.stat_result) -> bool:
    return status.st_uid == getattr(os, "getuid", lambda: 0)()


def _links(folder: Path) -> list[tuple[Path, LocalStudy]]:
    """The links in a folder with their studies, the latest first."""
    links = []
    with suppress(OSError):
        for link in folder.iterdir():
            start, dash, pid = link.name.partition("-")
            if dash and _is_number(start) and _is_number(pid):
                with suppress(OSError):
                    links.append((link, LocalStudy(os.readlink(link), int(start) / 1e9, int(pid))))
    return sorted(links, key=lambda pair: -pair[1].start)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 20


def _is_own_study(study: LocalStudy) -> bool:
    try:
        status, parent = os.lstat(study.path), os.lstat(os.path.dirname(study.path))
    except (OSError, ValueError):
        return False
    known = stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)
    return known and _is_own(status) and _is_own(parent)


def _remove_old(folder: Path) -> None:
    """Remove links beyond the maximum, and those of ended searches whose study is gone; the studies stay."""
    for position, (link, study) in enumerate(_links(folder), start=2):
        if position > MAX_STUDIES or not (link.exists() or study.is_running):
            with suppress(OSError):
                link.unlink()
