"""``Recorder``: journal records of changes, to be written as one entry."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend
from optuna.study import StudyDirection

from flyteoptuna.logs import optuna_log_level


class Recorder:
    """Collects the records that Optuna's ``JournalStorage`` makes of changes to one study, and writes none.

    One is made for each entry, so that an entry that is not written leaves nothing behind for the next one.

    Attributes:
        storage: the storage to change. Its study has the id that the first study of a journal has. It has no trials;
            changes of any trial, by the id that it has in the journal, are taken for granted.
    """

    def __init__(self, name: str, directions: Sequence[StudyDirection]) -> None:
        self._backend = _Backend()
        self.storage = JournalStorage(self._backend)
        with optuna_log_level(logging.WARNING):
            self.study_id = self.storage.create_new_study(directions, name)
        self._n_creating = len(self._backend.records)

    @property
    def records(self) -> list[dict[str, Any]]:
        """Records of the changes."""
        return self._backend.records[self._n_creating :]

    @property
    def all_records(self) -> list[dict[str, Any]]:
        """The record that creates the study, and those of the changes."""
        return self._backend.records


class _Backend(BaseJournalBackend):
    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []
        self._replayed: list[dict[str, Any]] = []

    def read_logs(self, log_number_from: int) -> list[dict[str, Any]]:
        return self._replayed[log_number_from:]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        self.records += logs
        # The trials that other records are about are not here.
        self._replayed += [log for log in logs if "trial_id" not in log]
