"""Entries of a journal: their names and their JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass

from flyteoptuna.errors import JournalError
from flyteoptuna.journal.records import Record
from flyteoptuna.values.text import exception_line

# Version of the entries.
ENTRY_FORMAT = 1
# Tag of an entry.
KIND = "flyteoptuna.journal"


@dataclass
class Entry:
    """One object of a journal. The mark of the previous entry reveals one that was deleted and written again."""

    mark: str  # the writer, and the number of the entry among those of the writer
    after: str  # mark of the previous entry
    records: list[Record]  # Optuna's, without the ids of workers, which mean something to the writer alone

    def body(self, number: int) -> bytes:
        """The entry as JSON."""
        stored = {"kind": KIND, "format": ENTRY_FORMAT, "number": number, **vars(self)}
        return json.dumps(stored, separators=(",", ":")).encode()


def entry_name(number: int) -> str:
    """Name of the object that holds an entry, such as ``00000012.json``."""
    return f"{number:08d}.json"


def pack_name(number: int) -> str:
    """Name of the object that holds a copy of 1,000 entries, as compressed lines."""
    return f"pack-{number:06d}.json.gz"


def parse_entry(body: bytes, number: int, after: str, where: str) -> Entry:
    """Read an entry from its JSON; raises a ``JournalError`` that names ``where``.

    Its number must be ``number``, and ``after`` the mark of the previous entry.
    """
    try:
        stored = json.loads(body)
    except (ValueError, RecursionError) as error:
        size = f"{len(body)} bytes, not JSON"
        raise JournalError(f"{where} is no entry of a journal: {size}: {exception_line(error)}") from error
    if not isinstance(stored, dict) or stored.get("kind") != KIND:
        raise JournalError(f"{where} is no entry of a journal: {str(stored)[:80]!r}")
    if stored.get("format") != ENTRY_FORMAT:
        raise JournalError(
            f"{where} has format {stored.get('format')!r}; this version of flyteoptuna reads {ENTRY_FORMAT}"
        )
    mark, records = stored.get("mark"), stored.get("records")
    if not isinstance(mark, str) or not isinstance(records, list) or not all(type(r) is dict for r in records):
        raise JournalError(f"{where} is no entry of a journal: it has no mark or no records")
    if stored.get("number") != number:
        raise JournalError(f"{where} holds the entry {stored.get('number')!r}: it was copied or renamed")
    if stored.get("after") != after:
        raise JournalError(
            f"{where} was written after the entry with the mark {stored.get('after')!r}, but the one before it has "
            f"{after!r}: an entry was deleted and made anew"
        )
    return Entry(mark, after, records)
