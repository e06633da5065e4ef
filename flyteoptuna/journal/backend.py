"""``JournalObjectBackend``: Optuna's journal as immutable objects in a bucket or a folder."""

from __future__ import annotations

import gzip
import json
import os
import threading
import time
import uuid
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from optuna.storages.journal import BaseJournalBackend

from flyteoptuna.errors import JournalConflictError, JournalError
from flyteoptuna.journal.entries import Entry, Record, entry_name, find_conflict, is_deferrable, pack_name, parse_entry
from flyteoptuna.journal.object_store import CreateObject, ObjectStore

# Number of entries in a pack.
PACK = 1000
# Maximum number of objects in one read.
WINDOW = 256


@dataclass
class _Sent:
    """Records that were sent, until their entry is read back."""

    mark: str
    records: list[Record]
    known: bool  # whether this process serves them already


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
    ) -> None:
        self._reopen = partial(type(self), url, fs=fs, poll=poll, read_only=read_only, create=create, name=name)
        self._name = name
        self._objects = ObjectStore(url, fs, create)
        self._poll, self._read_only = poll, read_only
        self._served: list[Record] = []  # the records that this process replays, in its order
        self._number, self._mark = 0, ""  # number of known entries, and the mark of the last one
        self._tail: list[bytes] = []  # bodies of the entries since the last pack
        self._held: list[Record] = []
        self._sent: _Sent | None = None
        self._conflict = ""
        self._fetched_at = -float("inf")
        self._opened = False
        self._start_process()

    def _start_process(self) -> None:
        self._pid, self._lock, self._block = os.getpid(), threading.RLock(), threading.local()
        self._writer, self._written = f"{self._name}.{uuid.uuid4().hex}", 0

    def __reduce__(self) -> tuple[Any, tuple[()]]:
        return self._reopen, ()

    def __str__(self) -> str:
        return self._objects.url

    def check(self) -> None:
        """Check that the store can hold a journal, by creating an object twice; if read-only, that a journal exists.

        Raises:
            JournalError: the store does not exist, refuses to write, or overwrites objects.
        """
        if not self._read_only:
            self._objects.check()
        elif self._objects.read([entry_name(0)]) == [None]:
            raise JournalError(f"{self}: there is no journal here")

    def read_logs(self, log_number_from: int) -> Iterable[Record]:
        """Records from a number on; called by ``JournalStorage``.

        Raises:
            JournalError: an entry is missing or damaged, or the store cannot be read.
        """
        with self._locked():
            self._refuse_conflict()
            if time.monotonic() - self._fetched_at >= self._poll:
                self._fetch()
                self._refuse_conflict()
            return self._served[log_number_from:]

    def append_logs(self, logs: list[Record]) -> None:
        """Write records as one entry, or hold them within ``together``; called by ``JournalStorage``.

        Raises:
            JournalError: the journal is read-only, damaged, or cannot be written. After a failed request it is unknown
                whether the records were stored.
        """
        if self._read_only:
            raise JournalError(f"the journal {self} was opened read-only")
        # Through JSON, so that this process serves what all others read.
        records = [{**json.loads(json.dumps(log)), "worker_id": log["worker_id"]} for log in logs]
        with self._locked():
            self._refuse_conflict()
            if getattr(self._block, "depth", 0) and all(map(is_deferrable, records)):
                self._held += records
                self._served += records
                return
            self._flush()
            self._refuse_conflict()
            self._send(records, known=False)

    def refresh(self) -> None:
        """Fetch new entries now."""
        with self._locked():
            self._fetch()
            self._refuse_conflict()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Write this thread's records about existing trials as one entry, at the end of the block.

        Parameters, attributes, intermediate values and final states are held; this process reads them immediately. Any
        other record is written at once, after those held so far. The held records are written even if the block raises;
        after a failed write they precede the next record. Blocks may be nested, and those of several threads may
        overlap.

        Raises:
            JournalConflictError: meanwhile another writer wrote about the same trial, or gave one of its parameters an
                incompatible distribution. This process has read a state that no other reader will see.
            JournalError: the entry could not be written.
        """
        self._block.depth = getattr(self._block, "depth", 0) + 1
        try:
            yield
        finally:
            self._block.depth -= 1
            if not self._block.depth:
                with self._locked():
                    self._flush()
                    self._refuse_conflict()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        if self._pid != os.getpid():
            if self._held or self._sent:
                self._conflict = "the process was forked while records were held back"
                self._held, self._sent = [], None
            self._start_process()
        with self._lock:
            yield

    def _refuse_conflict(self) -> None:
        if self._conflict:
            raise JournalConflictError(f"{self} must be opened anew: {self._conflict}")

    def _flush(self) -> None:
        if self._sent is not None:  # an earlier attempt failed
            self._send(self._sent.records, known=True)
        if self._held:
            records, self._held = self._held, []
            self._send(records, known=True)

    def _send(self, records: list[Record], known: bool) -> None:
        """Write an entry under the first free number."""
        if self._sent is None:
            self._written += 1
            self._sent = _Sent(f"{self._writer}-{self._written}", records, known)
        stored = [{key: value for key, value in record.items() if key != "worker_id"} for record in records]
        try:
            if not self._opened:
                self._fetch()
            attempts = 0
            while (sent := self._sent) is not None:
                body = Entry(sent.mark, self._mark, stored).body(self._number)
                self._add_entry(self._objects.create(entry_name(self._number), body))
                attempts += 1
                # After one lost race, try the next number; after two, this process may be far behind.
                if self._sent is not None and attempts % 2 == 0:
                    self._fetch()
            if self._number % PACK == 0:
                pack = gzip.compress(b"\n".join(self._tail), 6)
                self._objects.try_create(pack_name(self._number // PACK - 1), pack)
        finally:
            if not known:
                self._sent = None

    def _add_entry(self, body: bytes, entry: Entry | None = None) -> None:
        """Serve the records of the next entry."""
        entry = entry or parse_entry(body, self._number, self._mark, self._objects.object_url(entry_name(self._number)))
        if self._sent is not None and self._sent.mark == entry.mark:
            if not self._sent.known:
                self._served += self._sent.records
            self._sent = None
            self._fetched_at = time.monotonic()
        else:
            writer = entry.mark.partition("-")[0]
            held = [*(self._sent.records if self._sent is not None and self._sent.known else ()), *self._held]
            for record in entry.records:
                why = find_conflict(held, record) if held else ""
                if why and not self._conflict:
                    self._conflict = f"{entry_name(self._number)} stands before what was held back, and {why}"
                record["worker_id"] = writer
            self._served += entry.records
        if self._number % PACK == 0:
            self._tail = []
        self._tail.append(body)
        self._number, self._mark = self._number + 1, entry.mark

    def _fetch(self) -> None:
        """Read all new entries, in windows of growing size."""
        window, gap = 2, False
        while True:
            if self._number % PACK == 0:
                self._fetch_packs()
            next_pack = self._number - self._number % PACK + PACK
            stop = max(self._number + 2, min(self._number + window, next_pack))
            bodies = self._objects.read([entry_name(number) for number in range(self._number, stop)])
            if gap and bodies[0] is None:
                name = entry_name(self._number)
                raise JournalError(f"{self._objects.object_url(name)} is missing, but later ones exist")
            start = self._number
            for body in bodies:
                if body is None:
                    break
                self._add_entry(body)
            new = self._number - start
            # A gap may be an entry written during the read: it exists by now, and the next read finds it.
            gap = new + bodies.count(None) < len(bodies)
            if new < len(bodies) - 1 and not gap:
                break
            window = min(2 * window, WINDOW)
        if not self._number and not self._opened:
            self._require_first_entry()
        self._fetched_at, self._opened = time.monotonic(), True

    def _require_first_entry(self) -> None:
        names = self._objects.list_names()
        entries = sorted(name for name in names if name[:-5].isdecimal() and name == entry_name(int(name[:-5])))
        if entries and entries[0] != entry_name(0):
            raise JournalError(f"{self._objects.object_url(entry_name(0))} is missing, but {entries[0]} exists")

    def _fetch_packs(self) -> None:
        window = 2
        while True:
            first = self._number // PACK
            for body in self._objects.read([pack_name(number) for number in range(first, first + window)]):
                entries = self._unpack(body) if body is not None else []
                if not entries:
                    return
                for line, entry in entries:
                    self._add_entry(line, entry)
            window = min(2 * window, WINDOW)

    def _unpack(self, body: bytes) -> list[tuple[bytes, Entry]]:
        """The entries of a pack; empty where it is damaged, because the entries exist as objects of their own too."""
        entries, after = [], self._mark
        try:
            lines = gzip.decompress(body).split(b"\n")
            for number, line in enumerate(lines, self._number):
                entry = parse_entry(line, number, after, "")
                entries.append((line, entry))
                after = entry.mark
        except (JournalError, OSError, EOFError, zlib.error):
            return []
        return entries if len(entries) == PACK else []
