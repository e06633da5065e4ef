"""Optuna's journal as immutable objects, in any store that makes an object only where there is none."""

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

from flyteoptuna.journal.entries import Entry, Record, can_wait, disagreement, entry_name, pack_name, parse
from flyteoptuna.journal.object_store import Create, JournalError, Objects

PACK = 1000
"""Entries in a pack."""
WINDOW = 256
"""The most objects that are asked for at once."""


class JournalConflictError(JournalError):
    """Records that were held back do not agree with what another writer put before them.

    They are in the journal all the same, and every other reader agrees on what they mean there. The storage that held
    them is not to be used any more: open the journal anew.
    """


@dataclass
class _Sent:
    """Records on their way, until their entry is met."""

    mark: str
    records: list[Record]
    known: bool  # the reader in this process has them already


class JournalObjectBackend(BaseJournalBackend):
    """A backend of Optuna's ``JournalStorage`` that keeps the journal as objects in a store, without any server.

    Entry ``n`` is the object ``<url>/<n>.json``, which is made only where there is none: so all writers agree on one
    order. It works with plain Optuna, ``JournalStorage(JournalObjectBackend("s3://bucket/journal"))``, from any number
    of processes and machines, on S3, Google Cloud Storage, Azure and local files that can be linked.

    Reads are served from memory. New entries are looked for when ``poll`` seconds have passed, by :meth:`refresh`, and
    where an entry of one's own meets a taken number. One backend belongs to one storage.

    Args:
        url: the folder; nothing else may write there.
        fs: its fsspec filesystem; by default the one that the URL names.
        poll: seconds between two looks for new entries; 0 looks on every read.
        read_only: refuse to write, and never write.
        name: what the ``worker_id`` of this writer's records begins with, where others read them; a dot follows.
        create: makes an object only where there is none, called with (filesystem, path, bytes): for other filesystems.

    Raises:
        JournalError: the filesystem cannot promise that an object is made only once.
    """

    def __init__(
        self,
        url: str,
        *,
        fs: Any = None,
        poll: float = 1.0,
        read_only: bool = False,
        create: Create | None = None,
        name: str = "",
    ) -> None:
        self._again = partial(type(self), url, fs=fs, poll=poll, read_only=read_only, create=create, name=name)
        self._name = name
        self._objects = Objects(url, fs, create)
        self._poll, self._read_only = poll, read_only
        self._served: list[Record] = []  # what the storage of this process replays, in its order
        self._number, self._mark = 0, ""  # of entries that are known, and the last one's mark
        self._tail: list[bytes] = []  # entries since the last thousand
        self._held: list[Record] = []
        self._sent: _Sent | None = None
        self._conflict = ""
        self._looked = -float("inf")
        self._opened = False
        self._here()

    def _here(self) -> None:
        self._pid, self._lock, self._block = os.getpid(), threading.RLock(), threading.local()
        self._writer, self._written = f"{self._name}.{uuid.uuid4().hex}", 0

    def __reduce__(self) -> tuple[Any, tuple[()]]:
        return self._again, ()

    def __str__(self) -> str:
        return self._objects.url

    def check(self) -> None:
        """Prove that the store can hold a journal, by making an object twice; where read-only, that it can be read.

        Raises:
            JournalError: it cannot: it does not exist, may not be written, or ignores that an object exists.
        """
        if not self._read_only:
            self._objects.check()
        elif self._objects.read([entry_name(0)]) == [None]:
            raise JournalError(f"{self}: there is no journal here")

    def read_logs(self, log_number_from: int) -> Iterable[Record]:
        """Records from a number on, as ``JournalStorage`` asks for them.

        Raises:
            JournalError: an entry is missing or damaged, or the store cannot be read.
            JournalConflictError: see :meth:`together`.
        """
        with self._own():
            self._refuse_conflict()
            if time.monotonic() - self._looked >= self._poll:
                self._look()
                self._refuse_conflict()
            return self._served[log_number_from:]

    def append_logs(self, logs: list[Record]) -> None:
        """Add records as one entry, or hold them back within :meth:`together`.

        Raises:
            JournalError: the journal is read-only, damaged, or cannot be written; where a request failed, it is unknown
                whether the records were stored.
            JournalConflictError: see :meth:`together`.
        """
        if self._read_only:
            raise JournalError(f"the journal {self} was opened read-only")
        # As every other reader will have them.
        records = [{**json.loads(json.dumps(log)), "worker_id": log["worker_id"]} for log in logs]
        with self._own():
            self._refuse_conflict()
            if getattr(self._block, "depth", 0) and all(map(can_wait, records)):
                self._held += records
                self._served += records
                return
            self._flush()
            self._refuse_conflict()
            self._send(records, known=False)

    def refresh(self) -> None:
        """Look for new entries now.

        Raises:
            JournalError: as :meth:`read_logs`.
        """
        with self._own():
            self._look()
            self._refuse_conflict()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Hold back what this thread writes about trials that exist, and send it as one entry at the end.

        Parameters, attributes, intermediate values and final states are held; whatever else is written goes at once,
        after what was held before. Reads of this process see it all at once. However the block ends, what was held is
        sent; where sending fails, it is kept and goes out before the next record. Blocks may be nested; those of
        several threads may overlap.

        Raises:
            JournalConflictError: another writer wrote about the same trial meanwhile, or gave one of its parameters an
                incompatible distribution, so that this process took for granted what the others never see.
            JournalError: the entry could not be written.
        """
        self._block.depth = getattr(self._block, "depth", 0) + 1
        try:
            yield
        finally:
            self._block.depth -= 1
            if not self._block.depth:
                with self._own():
                    self._flush()
                    self._refuse_conflict()

    @contextmanager
    def _own(self) -> Iterator[None]:
        if self._pid != os.getpid():
            if self._held or self._sent:
                self._conflict = "the process was forked while records were held back"
                self._held, self._sent = [], None
            self._here()
        with self._lock:
            yield

    def _refuse_conflict(self) -> None:
        if self._conflict:
            raise JournalConflictError(f"{self} must be opened anew: {self._conflict}")

    def _flush(self) -> None:
        if self._sent is not None:  # could not be sent before
            self._send(self._sent.records, known=True)
        if self._held:
            records, self._held = self._held, []
            self._send(records, known=True)

    def _send(self, records: list[Record], known: bool) -> None:
        """Write an entry after all that are known by then."""
        if self._sent is None:
            self._written += 1
            self._sent = _Sent(f"{self._writer}-{self._written}", records, known)
        stored = [{key: value for key, value in record.items() if key != "worker_id"} for record in records]
        try:
            if not self._opened:
                self._look()
            lost = 0
            while (sent := self._sent) is not None:
                body = Entry(sent.mark, self._mark, stored).body(self._number)
                self._take(self._objects.create(entry_name(self._number), body))
                lost += 1
                # Who lost against one writer tries the next number; who did so again may be far behind.
                if self._sent is not None and lost % 2 == 0:
                    self._look()
            if self._number % PACK == 0:
                self._write_pack()
        finally:
            if not known:
                self._sent = None

    def _take(self, body: bytes, entry: Entry | None = None) -> None:
        """Make the next entry known."""
        entry = entry or parse(body, self._number, self._mark, self._objects.where(entry_name(self._number)))
        if self._sent is not None and self._sent.mark == entry.mark:
            if not self._sent.known:
                self._served += self._sent.records
            self._sent = None
            self._looked = time.monotonic()
        else:
            writer = entry.mark.partition("-")[0]
            held = [*(self._sent.records if self._sent is not None and self._sent.known else ()), *self._held]
            for record in entry.records:
                why = disagreement(held, record) if held else ""
                if why and not self._conflict:
                    self._conflict = f"{entry_name(self._number)} stands before what was held back, and {why}"
                record["worker_id"] = writer
            self._served += entry.records
        if self._number % PACK == 0:
            self._tail = []
        self._tail.append(body)
        self._number, self._mark = self._number + 1, entry.mark

    def _look(self) -> None:
        """Read all entries that are new."""
        window, gap = 2, False
        while True:
            if self._number % PACK == 0:
                self._take_packs()
            border = self._number - self._number % PACK + PACK
            stop = max(self._number + 2, min(self._number + window, border))
            found = self._objects.read([entry_name(number) for number in range(self._number, stop)])
            if gap and found[0] is None:
                raise JournalError(f"{self._objects.where(entry_name(self._number))} is missing, but later ones exist")
            start = self._number
            for body in found:
                if body is None:
                    break
                self._take(body)
            new = self._number - start
            # Later ones may have been made while an earlier one was asked for: then it is there by now.
            gap = new + found.count(None) < len(found)
            if new < len(found) - 1 and not gap:
                break
            window = min(2 * window, WINDOW)
        if not self._number and not self._opened:
            self._refuse_beheaded()
        self._looked, self._opened = time.monotonic(), True

    def _refuse_beheaded(self) -> None:
        names = self._objects.names()
        others = sorted(name for name in names if name[:-5].isdecimal() and name == entry_name(int(name[:-5])))
        if others and others[0] != entry_name(0):
            raise JournalError(f"{self._objects.where(entry_name(0))} is missing, but {others[0]} exists")

    def _take_packs(self) -> None:
        window = 2
        while True:
            first = self._number // PACK
            for body in self._objects.read([pack_name(number) for number in range(first, first + window)]):
                entries = self._unpacked(body) if body is not None else []
                if not entries:
                    return
                for stored, entry in entries:
                    self._take(stored, entry)
            window = min(2 * window, WINDOW)

    def _unpacked(self, body: bytes) -> list[tuple[bytes, Entry]]:
        """The entries of a pack, or none where it is damaged: the entries themselves are there."""
        entries, after = [], self._mark
        try:
            lines = gzip.decompress(body).split(b"\n")
            for number, line in enumerate(lines, self._number):
                entry = parse(line, number, after, "")
                entries.append((line, entry))
                after = entry.mark
        except (JournalError, OSError, EOFError, zlib.error):
            return []
        return entries if len(entries) == PACK else []

    def _write_pack(self) -> None:
        self._objects.write(pack_name(self._number // PACK - 1), gzip.compress(b"\n".join(self._tail), 6))
