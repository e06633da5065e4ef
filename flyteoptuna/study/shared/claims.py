"""Trial ownership among workers, and the end of their search, derived from the order of journal entries."""

from __future__ import annotations

from typing import Any, NamedTuple

from optuna.storages.journal import BaseJournalBackend
from optuna.trial import TrialState

from flyteoptuna.trial.marks import ENDED_ATTRIBUTE


class Claim(NamedTuple):
    """A worker's claim of a trial that was enqueued or that the worker created."""

    trial_id: int
    worker: str
    enqueued: bool = False


class JournalOrder:
    """Claims of trials, and the end of a search, by the order of the journal, so that all workers agree on them.

    It reads Optuna's journal records, because a storage has no order between created trials and enqueued ones, nor
    between two values of an attribute. The first ``base`` trials are those before the search.

    Attributes:
        claims: claims of all workers.
        ended: the first reason why the search has ended, and whether it has failed; empty while it goes on.
    """

    def __init__(self, base: int) -> None:
        self.claims: list[Claim] = []
        self.ended: tuple[Any, ...] = ()
        self._base, self._read, self._trials = base, 0, 0
        self._waiting: set[int] = set()

    def read(self, backend: BaseJournalBackend, own: str) -> None:
        """Read new records; ``own`` is the name of the worker that reads."""
        for record in backend.read_logs(self._read):
            self._read += 1
            state = TrialState(record["state"]) if record.get("state") is not None else None
            if "trial_id" not in record and "datetime_start" in record:
                if state == TrialState.WAITING:
                    self._waiting.add(self._trials)
                elif self._trials >= self._base and state is None:
                    # Trials that a callback adds have a state, and are not run.
                    self.claims.append(Claim(self._trials, _writer(record, own)))
                self._trials += 1
            elif state == TrialState.RUNNING and record["trial_id"] in self._waiting:
                # The first of several claims of an enqueued trial counts.
                self._waiting.remove(record["trial_id"])
                self.claims.append(Claim(record["trial_id"], _writer(record, own), enqueued=True))
            elif "study_id" in record and ENDED_ATTRIBUTE in record.get("system_attr", ()):
                self.ended = self.ended or tuple(record["system_attr"][ENDED_ATTRIBUTE])


def _writer(record: dict[str, Any], own: str) -> str:
    # The journal prefixes the ids of other workers with their names; own records have Optuna's id alone.
    name, dot, _ = record["worker_id"].partition(".")
    return name if dot else own
