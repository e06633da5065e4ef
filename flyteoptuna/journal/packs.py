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


def unpack_entries(body: bytes, first: int, after: str) -> list[tuple[bytes, Entry]]:
    """Read the entries of a pack, each with its body; empty where the pack is damaged or exceeds a limit.

    ``first`` is the number of its first entry, and ``after`` the mark of the entry before. The entries exist as objects
    of their own too, so that a pack is never needed.
    """
    entries = []
    try:
        for number, line in enumerate(_inflate(body).split(b"\n", PACK), first):
            entry = parse_entry(line, number, after, "")
            entries.append((line, entry))
            after = entry.mark
    except (JournalError, zlib.error):
        return []
    return entries if len(entries) == PACK else []


def _inflate(body: bytes) -> bytes:
    """Decompress a pack; empty where it exceeds a limit, or is not one whole stream."""
    most = min(limits.MAX_BYTES, max(limits.FREE_BYTES, limits.MAX_RATIO * len(body)))
    inflater = zlib.decompressobj(_GZIP)
    content = inflater.decompress(body, most + 1)
    whole = inflater.eof and not inflater.unused_data and len(content) <= most
    return content if whole and not limits.exceeded_limit(content) else b""
