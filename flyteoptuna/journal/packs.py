"""Packs: copies of many entries in one compressed object, for readers that are far behind."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from flyteoptuna.errors import JournalError
from flyteoptuna.journal import limits
from flyteoptuna.journal.entries import Entry, parse_entry

# Number of entries in a pack.
PACK = 1000
# Window of zlib with the header of gzip.
_GZIP = 31


def pack_entries(bodies: Sequence[bytes]) -> bytes:
    """Compress the bodies of entries."""
    compressor = zlib.compressobj(6, wbits=_GZIP)
    return compressor.compress(b"\n".join(bodies)) + compressor.flush()


def unpack_entries(
    body: bytes, first: int, after: str, before: limits.JsonSize, where: str
) -> list[tuple[bytes, Entry]]:
    """Read the entries of a pack, each with its body.

    Args:
        body: the pack.
        first: number of its first entry.
        after: mark of the entry before.
        before: size of all entries before.
        where: the pack, for messages.

    Raises:
        JournalError: the pack is damaged, or exceeds a limit.
    """
    content, entries = _inflate(body, where), []
    if excess := before.plus(content).excess():
        raise JournalError(f"{where} cannot be read: with it, the journal has {excess}")
    for number, line in enumerate(content.split(b"\n", PACK), first):
        entry = parse_entry(line, number, after, where)
        entries.append((line, entry))
        after = entry.mark
    if len(entries) != PACK:
        raise JournalError(f"{where} holds {len(entries)} entries, and not {PACK}")
    return entries


def _inflate(body: bytes, where: str) -> bytes:
    most = min(limits.MAX_BYTES, max(limits.FREE_BYTES, limits.MAX_RATIO * len(body)))
    inflater = zlib.decompressobj(_GZIP)
    try:
        content = inflater.decompress(body, most + 1)
    except zlib.error as error:
        raise JournalError(f"{where} is no gzip stream: {error}") from None
    if len(content) > most:
        raise JournalError(f"{where} cannot be read: {len(body)} bytes become more than {most}")
    if not inflater.eof or inflater.unused_data:
        raise JournalError(f"{where} is not one whole gzip stream")
    return content
