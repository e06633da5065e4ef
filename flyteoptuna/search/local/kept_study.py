"""The file of a local run's study: where it is, when it is written, and what happens where it cannot be."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING

from flytekit.core.context_manager import FlyteContextManager
from flytekit.models.literals import Literal

from flyteoptuna.flyte.references import Reference, packed, reference
from flyteoptuna.show.log import logger

if TYPE_CHECKING:
    from flyteoptuna.storage.memory import SearchStudy

KEEP_EVERY = 1.0
"""Seconds after which a local run saves its study again, at least."""
KEEP_SHARE = 0.05
"""Most of its time that a local run spends on that."""


def _place(name: str) -> Path:
    """A path for a file beside the data that tasks write in local runs, or in a folder of its own if that is remote."""
    access = FlyteContextManager.current_context().file_access
    remote = access.is_remote(access.raw_output_prefix)
    found = access.get_random_local_path(name) if remote else access.get_random_remote_path(name)
    return Path(str(found).removeprefix("file://"))


class Kept:
    """The study of a local run, and its file, which is written now and then.

    Attributes:
        study: the study.
        path: the file.
        unsaved: why the study could not be saved the last time; empty where it could.
    """

    def __init__(self, study: SearchStudy) -> None:
        self.study = study
        self.path = _place("search.study")
        self.unsaved = ""
        self._next = 0.0
        self._asked = self.path.with_name("asked.study")

    def now_and_then(self) -> None:
        """Save the study if it is time: what cannot be saved is known early, and little is lost if the process dies."""
        if time.monotonic() >= self._next:
            self.keep()

    def keep(self, *, pickles: bool = True) -> None:
        """Save the study; where there is no room for the file, say so once and go on.

        Args:
            pickles: whether a search is to go on with it.
        """
        from flyteoptuna.storage import file

        start = time.monotonic()
        data = file.dumps(self.study, pickles=pickles)
        try:
            _write(self.path, data)
        except OSError as error:
            if not self.unsaved:
                logger.warning("The search goes on, but its study cannot be saved: %s", error)
            self.unsaved = str(error)
        else:
            self.unsaved, self.study.file = "", str(self.path)
        end = time.monotonic()
        self._next = end + max(KEEP_EVERY, (end - start) / KEEP_SHARE)

    def asked(self, *, prunes: bool) -> Reference:
        """The study as it is, for the pruner of trials that may run in other processes; nothing if there is none."""
        from flyteoptuna.storage import file

        if not prunes:
            return reference(packed({}))
        data = file.dumps(self.study)
        try:
            # One file, whose content a batch is done with when the next is asked.
            _write(self._asked, data)
        except OSError:
            return reference(packed({"_data": data}))
        return reference(packed({"_path": str(self._asked)}))

    def literal(self) -> Literal:
        """The study as a workflow's value: by its file, or with all of it where that could not be written."""
        from flyteoptuna.flyte.study_type import attributes
        from flyteoptuna.storage import file

        found = {"_data": file.dumps(self.study)} if self.unsaved else {"_path": str(self.path)}
        return packed({**attributes(self.study), **found})

    def copy(self) -> SearchStudy:
        """The study as whoever reads its file gets it."""
        from flyteoptuna.storage import file

        made = file.loads(file.dumps(self.study))
        made.file = None if self.unsaved else str(self.path)
        return made

    def where(self) -> str:
        """Where the study is, or why it is nowhere."""
        if self.unsaved:
            return f"Its study could not be saved, and is in memory only: {self.unsaved}"
        return f"Its study: flyteoptuna show {shlex.quote(str(self.path))}"

    def close(self) -> None:
        """Remove what only the trials needed."""
        try:
            self._asked.unlink(missing_ok=True)
        except OSError:
            # Whatever keeps it from being removed, the search has ended.
            return


def _write(path: Path, data: bytes) -> None:
    # The folder may have been cleared away meanwhile.
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.new")
    new.write_bytes(data)
    new.replace(path)
