"""``JournalObjectBackend``: Optuna's journal as immutable objects in a bucket or a folder."""

from __future__ import annotations

import json
import os
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

from optuna.storages.journal import BaseJournalBackend

from flyteoptuna.errors import JournalConflictError, JournalError, StoreError
from flyteoptuna.journal import packs
from flyteoptuna.journal.conflicts import find_conflict
from flyteoptuna.journal.entries import Entry, entry_name, pack_name, parse_entry
from flyteoptuna.journal.limits import JsonSize
from flyteoptuna.journal.object_store import CreateObject, ObjectStore
from flyteoptuna.journal.records import Record, check_record
from flyteoptuna.values.field_error import FieldError
from flyteoptuna.values.retries import PATIENCE
from flyteoptuna.values.tracebacks import public

# Maximum number of objects in one read.
WINDOW = 256


class _Tip(NamedTuple):
    """The end of the known journal."""

    number: int = 0  # of known entries
    mark: str = ""  # of the last entry
    records: int = 0  # number of known records
    size: JsonSize = JsonSize()  # of the known entries
    state: Any = None  # what a subclass needs to check further records


class _ExcessError(JournalError):
    """A journal exceeds a limit."""


class _Sent(NamedTuple):
    """Records that are being sent, as this process replays them, and the mark of their entry."""

    mark: str
    records: list[Record]


@public
class JournalObjectBackend(BaseJournalBackend):
    """Backend of Optuna's ``JournalStorage`` that stores the journal in a bucket or a folder, without a server.

    Works with plain Optuna, ``JournalStorage(JournalObjectBackend("s3://bucket/journal"))``, from any number of
    processes and machines. Supports S3, Google Cloud Storage, Azure, and local filesystems with hard links.

    Entry ``n`` is the object ``<url>/<n>.json``. It is created only if it does not exist, so that all writers agree on
    one order. Reads are served from memory; new entries are fetched ``poll`` seconds after the last fetch, by
    ``refresh``, and where another writer has taken the number of a new entry. Each storage needs its own backend.

    Args:
        url: URL of the folder; nothing else may write there.
        fs: fsspec filesystem. Default: the one of the URL.
        poll: minimum time between two fetches, seconds; 0 fetches on every read. Default: 1.
        read_only: raise on any write. Default: False.
        create: function of (filesystem, path, bytes) that creates an object only if it does not exist; for filesystems
            other than the above.
        name: prefix of the ``worker_id`` of this writer's records, as other readers see them; a dot follows.
        patience: time for which a request that fails is tried again, with growing pauses, seconds. Errors such as a
            missing right are final at once. Default: 300.

    Raises:
        JournalError: the filesystem cannot guarantee that an object is created only once.
    """

    def __init__(
        self,
        url: str,
        *,
        fs: Any = None,
        poll: float = 1.0,
        read_only: bool = False,
        create: CreateObject | None = None,
        name: str = "",
        patience: float = PATIENCE,
    ) -> None:
        settings = {"fs": fs, "poll": poll, "read_only": read_only, "create": create, "name": name}
        self._reopen = partial(type(self), url, **settings, patience=patience)
        self._name = name
        self._objects = ObjectStore(url, fs, create, patience)
        self._poll, self._read_only = poll, read_only
        self._served: list[Record] = []  # the records that this process replays
        self._tip = _Tip()
        self._tail: list[bytes] = []  # bodies of the entries since the last pack
        self._sent: _Sent | None = None
        self._fetched_at = -float("inf")
        self._opened = self._frozen = False
        self._start_process()

    def _start_process(self) -> None:
        self._pid, self._lock, self._sent = os.getpid(), threading.RLock(), None
        self._writer, self._written = f"{self._name}.{uuid.uuid4().hex}", 0

    def __reduce__(self) -> tuple[Any, tuple[()]]:
        return self._reopen, ()

    def __str__(self) -> str:
        return self._objects.url

    @property
    def n_records(self) -> int:
        """Number of known records."""
        return self._tip.records

    def check(self) -> None:
        """Check that the store can hold a journal, by creating an object twice; if read-only, that a journal exists.

        Raises:
            JournalError: the store does not exist, refuses to write, or overwrites objects.
        """
        if not self._read_only:
            self._objects.check()
        elif [*self._objects.read([entry_name(0)])] == [None]:
            raise JournalError(f"{self}: there is no journal here")

    def read_logs(self, log_number_from: int) -> Iterable[Record]:
        """Records from a number on; called by ``JournalStorage``.

        Raises:
            JournalError: an entry is missing or damaged, or the store cannot be read.
        """
        with self._locked():
            due = time.monotonic() - self._fetched_at >= self._poll
            if (due or not self._opened) and not self._frozen:
                self._fetch()
            return self._served[log_number_from : self._tip.records]

    def append_logs(self, logs: list[Record]) -> None:
        """Write records as one entry; called by ``JournalStorage``.

        Raises:
            JournalError: the journal is read-only, damaged, or cannot be written. After a failed request it is unknown
                whether the records were stored.
        """
        records = self._as_read(logs)
        with self._locked():
            self._send(records)

    def append_together(self, logs: list[Record], since: int) -> None:
        """Write records as one entry, unless another writer's entry conflicts with them.

        Args:
            logs: the records, of any kind.
            since: number of records that the writer knew when it made them; later ones may conflict.

        Raises:
            JournalConflictError: another writer has written about the same trial, or has given one of its parameters an
                incompatible distribution. Nothing was written.
            JournalError: as ``append_logs``.
        """
        records = self._as_read(logs)
        with self._locked():
            self._send(records, since)

    def _as_read(self, logs: list[Record]) -> list[Record]:
        """Records as other readers get them, from JSON."""
        if self._read_only or self._frozen:
            raise JournalError(f"the journal {self} was opened read-only")
        records = [{**json.loads(json.dumps(log)), "worker_id": log["worker_id"]} for log in logs]
        for record in records:
            try:
                check_record(record)
            except FieldError as error:
                raise JournalError(f"a record cannot be written to {self}: {error}") from None
        return records

    def refresh(self) -> None:
        """Fetch new entries now."""
        with self._locked():
            self._fetch()

    def fetch_intact(self) -> str:
        """Fetch new entries up to the first one that is damaged or missing, and serve no others from now on.

        Returns:
            What is wrong with that entry, or that there is none; empty if the journal is intact.

        Raises:
            StoreError: the store does not answer.
        """
        damage = ""
        with self._locked():
            try:
                self._fetch()
            except (StoreError, _ExcessError):
                raise
            except JournalError as error:
                damage = str(error)
            self._frozen = self._opened = True
        return damage if damage or self._tip.number else f"{self}: there is no journal here"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        if self._pid != os.getpid():
            self._start_process()
        with self._lock:
            yield

    def _send(self, records: list[Record], since: int | None = None) -> None:
        """Write an entry under the first free number; with ``since``, only if no later record conflicts."""
        self._written += 1
        mark = f"{self._writer}-{self._written}"
        stored = [{key: value for key, value in record.items() if key != "worker_id"} for record in records]
        try:
            if not self._opened:
                self._fetch()
            self._sent, attempts = _Sent(mark, records), 0
            while self._sent is not None:
                if since is not None:
                    self._refuse_conflict(records, since)
                    since = self._tip.records
                self._refuse_invalid(stored)
                body = Entry(mark, self._tip.mark, stored).body(self._tip.number)
                self._add_size(body, "written")
                self._add_entry(self._objects.create(entry_name(self._tip.number), body))
                attempts += 1
                # After one lost race, try the next number; after two, this process may be far behind.
                if self._sent is not None and attempts % 2 == 0:
                    self._fetch()
        finally:
            self._sent = None
        if self._tip.number % packs.PACK == 0:
            self._objects.try_create(pack_name(self._tip.number // packs.PACK - 1), packs.pack_entries(self._tail))

    def _refuse_invalid(self, records: list[Record]) -> None:
        try:
            self._check_records(records, self._tip.state)
        except FieldError as error:
            raise JournalError(f"an entry cannot be written to {self}: {error}") from None

    def _refuse_conflict(self, records: Sequence[Record], since: int) -> None:
        if why := find_conflict(records, self._served[since : self._tip.records]):
            raise JournalConflictError(f"{self}: {why}")

    def _add_entry(self, body: bytes, entry: Entry | None = None) -> None:
        """Serve the records of the next entry."""
        number, mark, known, _, state = self._tip
        where, size = self._objects.object_url(entry_name(number)), self._add_size(body, "read")
        entry = entry or parse_entry(body, number, mark, where)
        try:
            state = self._check_records(entry.records, state)
        except FieldError as error:
            raise JournalError(f"{where} holds what Optuna did not write: {error}") from None
        sent = self._sent is not None and self._sent.mark == entry.mark
        if self._sent is not None and sent:
            records = self._sent.records
        else:
            writer = entry.mark.partition("-")[0]
            records = [{**record, "worker_id": writer} for record in entry.records]
        # By position, and the tip at once: an interrupt between two of these lines loses and doubles nothing.
        self._served[known:] = records
        if not self._read_only:
            self._tail[number % packs.PACK :] = [body]
        self._tip = _Tip(number + 1, entry.mark, known + len(records), size, state)
        if sent:
            self._sent, self._fetched_at = None, time.monotonic()

    def _add_size(self, body: bytes, done: str) -> JsonSize:
        """Size of the journal with a next entry.

        Raises:
            _ExcessError: it exceeds a limit.
        """
        size = self._tip.size.plus(body)
        if excess := size.excess():
            where = self._objects.object_url(entry_name(self._tip.number))
            raise _ExcessError(f"{where} cannot be {done}: with it, the journal has {excess}")
        return size

    def _check_records(self, records: list[Record], state: Any) -> Any:
        """Check the records of an entry; return the state that the next one is checked with.

        Raises:
            FieldError: a record is not one that Optuna writes.
        """
        for i, record in enumerate(records):
            try:
                check_record(record)
            except FieldError as error:
                raise FieldError(f"records[{i}].{error.where}", error.expected, error.found) from None
        return state

    def _fetch(self) -> None:
        """Read all new entries, in windows of growing size."""
        window, gap, packed, damage = 2, False, 0, ""
        while True:
            start = self._tip.number
            if start % packs.PACK == 0:
                packed, damage = self._fetch_packs()
                start = self._tip.number
            next_pack = start - start % packs.PACK + packs.PACK
            stop = max(start + 2, min(start + window, next_pack))
            suspected, gap, ended = gap or start < packed, False, False
            for body in self._objects.read([entry_name(number) for number in range(start, stop)]):
                if body is None:
                    ended = True
                elif ended:
                    # Perhaps an entry was written during the read: it exists by now, and the next read finds it.
                    gap = True
                    break
                else:
                    self._add_entry(body)
            if self._tip.number == start and suspected:
                where = self._objects.object_url(entry_name(start))
                raise JournalError(f"{where} is missing, but later ones exist{damage and f'; {damage}'}")
            if packed <= self._tip.number < stop - 1 and not gap:
                break
            window = min(2 * window, WINDOW)
        if not self._tip.number and not self._opened:
            self._require_first_entry()
        self._fetched_at, self._opened = time.monotonic(), True

    def _require_first_entry(self) -> None:
        names = self._objects.list_names()
        entries = sorted(name for name in names if name[:-5].isdecimal() and name == entry_name(int(name[:-5])))
        if entries and entries[0] != entry_name(0):
            raise JournalError(f"{self._objects.object_url(entry_name(0))} is missing, but {entries[0]} exists")

    def _fetch_packs(self) -> tuple[int, str]:
        """Read all new packs; return the number of entries that they stand for.

        They end before the first one that does not exist, or with the first one that is damaged or exceeds a limit;
        the second value is what is wrong with that. It is not needed, because the entries exist by themselves.
        """
        window = 2
        while True:
            first = self._tip.number // packs.PACK
            names = [pack_name(number) for number in range(first, first + window)]
            for name, body in zip(names, self._objects.read(names), strict=True):
                number, mark, _, size, _ = self._tip
                if body is None:
                    return number, ""
                try:
                    for line, entry in packs.unpack_entries(body, number, mark, size, self._objects.object_url(name)):
                        self._add_entry(line, entry)
                except JournalError as error:
                    return number + packs.PACK, str(error)
            window = min(2 * window, WINDOW)
