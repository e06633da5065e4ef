"""The file of a local search's study, saved while the search runs."""

from __future__ import annotations

import copy
import shlex
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from flytekit.core.context_manager import FlyteContextManager
from flytekit.models.literals import Literal

from flyteoptuna.flyte.references import Reference, make_reference, msgpack_literal
from flyteoptuna.logs import logger
from flyteoptuna.values.atomic_write import atomic_write

if TYPE_CHECKING:
    from flyteoptuna.storage.search_study import SearchStudy
    from flyteoptuna.trial.report import TrialReport

# Minimum time between two saves, seconds.
SAVE_INTERVAL = 1.0
# Maximum share of its time that a search spends on saving.
MAX_SAVE_SHARE = 0.05


def _new_path(name: str) -> Path:
    """Path of a new file beside flytekit's local data, or in a temporary folder if that data is remote."""
    access = FlyteContextManager.current_context().file_access
    remote = access.is_remote(access.raw_output_prefix)
    path = access.get_random_local_path(name) if remote else access.get_random_remote_path(name)
    return Path(str(path).removeprefix("file://"))


class StudyFile:
    """Saves a study to a file while its search runs."""

    def __init__(self, study: SearchStudy) -> None:
        self.study = study
        self.path = _new_path("search.study")
        self.error = ""  # reason why the last save failed
        self._next_save = 0.0
        self._pruner_path = self.path.with_name("asked.study")

    def save_if_due(self, reports: Sequence[TrialReport] = ()) -> None:
        """Save the study, as ``save``, unless the last save was too recent or too expensive."""
        if time.monotonic() >= self._next_save:
            self.save(reports)

    def save(self, reports: Sequence[TrialReport] = (), *, pickles: bool = True) -> None:
        """Save the study. If the file cannot be written, log it once and go on.

        Args:
            reports: reports of trials that have ended and will be told with the rest of their batch.
            pickles: save sampler, pruner and callbacks, so that a search can continue the study.

        Raises:
            UnpicklableError: one of them cannot be pickled.
        """
        from flyteoptuna.storage.file_format import dump_study

        start = time.monotonic()
        data = dump_study(_with_reports(self.study, reports) if reports else self.study, pickles=pickles)
        try:
            _write(self.path, data)
        except OSError as error:
            if not self.error:
                logger.warning("The search goes on, but its study cannot be saved: %s", error)
            self.error = str(error)
        else:
            self.error, self.study.file = "", str(self.path)
        end = time.monotonic()
        self._next_save = end + max(SAVE_INTERVAL, (end - start) / MAX_SAVE_SHARE)

    def save_for_pruner(self, *, prunes: bool) -> Reference:
        """Save a copy for the pruner of the running trials, which may be in other processes."""
        from flyteoptuna.storage.file_format import dump_study

        if not prunes:
            return make_reference(msgpack_literal({}))
        data = dump_study(self.study)
        try:
            # One file for all batches: no batch needs it after the next is asked.
            _write(self._pruner_path, data)
        except OSError:
            return make_reference(msgpack_literal({"_data": data}))
        return make_reference(msgpack_literal({"_path": str(self._pruner_path)}))

    def literal(self) -> Literal:
        """Literal of the study: its attributes, with its path or, if saving failed, its bytes."""
        from flyteoptuna.flyte.study_type import study_attribute_values
        from flyteoptuna.storage.file_format import dump_study

        content = {"_data": dump_study(self.study)} if self.error else {"_path": str(self.path)}
        return msgpack_literal({**study_attribute_values(self.study), **content})

    def location_line(self) -> str:
        """Sentence that says where the study is."""
        if self.error:
            return f"Its study could not be saved, and is in memory only: {self.error}"
        return f"Its study: flyteoptuna show {shlex.quote(str(self.path))}"

    def close(self) -> None:
        """Remove the copy for the pruner."""
        # The search has ended; a file that is left does no harm.
        with suppress(OSError):
            self._pruner_path.unlink(missing_ok=True)


def _with_reports(study: SearchStudy, reports: Sequence[TrialReport]) -> SearchStudy:
    """Copy a study, and tell the copy the reports of trials that are running in it; the other trials go on.

    Where the sampler cannot be copied, it is the study itself: the trials are saved after the rest of their batch.
    """
    from flyteoptuna.study.shared.shared_study import copy_trial, copy_with_trials
    from flyteoptuna.study.tell import tell_trials

    trials = [t if t.state.is_finished() else copy_trial(t) for t in study.get_trials(deepcopy=False)]
    copied = copy_with_trials(study, trials)
    try:
        # Telling a trial changes the sampler.
        copied.sampler = copy.deepcopy(study.sampler)
    except Exception:
        return study
    copied.stopped, copied.callbacks, copied.written = study.stopped, study.callbacks, study.written
    tell_trials(copied, reports, numbers=[report.trial for report in reports])
    return copied


def _write(path: Path, data: bytes) -> None:
    # The folder may have been removed meanwhile.
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as new:
        new.write_bytes(data)
