"""Whose a trial is, of a search whose workers share a journal: as its order tells, so that all agree."""

from __future__ import annotations

from typing import Any, NamedTuple

from optuna.storages.journal import BaseJournalBackend
from optuna.trial import TrialState


class Claim(NamedTuple):
    """A trial that a worker has taken to run.

    Attributes:
        trial_id: the trial.
        worker: the name of the worker.
        enqueued: whether the trial was there before, waiting.
    """

    trial_id: int
    worker: str
    enqueued: bool = False


class Claims:
    """The trials that workers have taken since the search began, in the order of the journal, on which all agree.

    It reads Optuna's records, because a storage tells no order between a trial that is made and one that was enqueued.
    """

    def __init__(self, base: int) -> None:
        self.taken: list[Claim] = []
        self._base, self._read, self._trials = base, 0, 0
        self._waiting: set[int] = set()

    def read(self, backend: BaseJournalBackend, own: str) -> None:
        """Read on; ``own`` is the name of the worker that reads."""
        for record in backend.read_logs(self._read):
            self._read += 1
            state = TrialState(record["state"]) if record.get("state") is not None else None
            if "trial_id" not in record and "datetime_start" in record:
                if state == TrialState.WAITING:
                    self._waiting.add(self._trials)
                elif self._trials >= self._base and state is None:
                    # One that a callback has added, in whatever state, is nobody's to run.
                    self.taken.append(Claim(self._trials, _writer(record, own)))
                self._trials += 1
            elif state == TrialState.RUNNING and record["trial_id"] in self._waiting:
                # Of several workers that claim an enqueued trial, it is the first one's.
                self._waiting.remove(record["trial_id"])
                self.taken.append(Claim(record["trial_id"], _writer(record, own), enqueued=True))


def _writer(record: dict[str, Any], own: str) -> str:
    # Of others, the journal knows the writer; one's own records bear an id that Optuna made.
    name, dot, _ = record["worker_id"].partition(".")
    return name if dot else own
