"""The entries of a journal: records of Optuna's, as they are stored, and which of them may wait for others."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from optuna.distributions import check_distribution_compatibility, json_to_distribution
from optuna.trial import TrialState

from flyteoptuna.journal.object_store import JournalError

FORMAT = 1
"""Version of the entries."""
KIND = "flyteoptuna.journal"
"""What an entry says of itself."""

Record = dict[str, Any]


@dataclass
class Entry:
    """One object: records that follow on one another.

    Attributes:
        mark: the writer, and which of its entries this is.
        after: the mark of the entry before, which shows whether one was taken away and made anew.
        records: Optuna's, without the ids of their workers, which only the writer understands.
    """

    mark: str
    after: str
    records: list[Record]

    def body(self, number: int) -> bytes:
        """As it is stored."""
        stored = {"kind": KIND, "format": FORMAT, "number": number, **vars(self)}
        return json.dumps(stored, separators=(",", ":")).encode()


def entry_name(number: int) -> str:
    """The object that holds an entry."""
    return f"{number:08d}.json"


def pack_name(number: int) -> str:
    """The object that holds all entries of a thousand once more."""
    return f"pack-{number:06d}.json.gz"


def parse(found: Any, number: int, after: str, where: str) -> Entry:
    """An entry as it was read, by its content.

    Raises:
        JournalError: it is none, or not the one that follows.
    """
    if isinstance(found, bytes):
        try:
            found = json.loads(found)
        except (ValueError, RecursionError) as error:
            raise JournalError(f"{where} is no entry of a journal: {len(found)} bytes, not JSON: {error}") from error
    if not isinstance(found, dict) or found.get("kind") != KIND:
        raise JournalError(f"{where} is no entry of a journal: {str(found)[:80]!r}")
    if found.get("format") != FORMAT:
        raise JournalError(f"{where} has format {found.get('format')!r}; this version of flyteoptuna reads {FORMAT}")
    mark, records = found.get("mark"), found.get("records")
    if not isinstance(mark, str) or not isinstance(records, list) or not all(map(_is_record, records)):
        raise JournalError(f"{where} is no entry of a journal: it has no mark or no records")
    if found.get("number") != number:
        raise JournalError(f"{where} holds the entry {found.get('number')!r}: it was copied or renamed")
    if found.get("after") != after:
        raise JournalError(
            f"{where} was written after the entry with the mark {found.get('after')!r}, but the one before it has "
            f"{after!r}: an entry was deleted and made anew"
        )
    return Entry(mark, after, records)


def _is_record(found: Any) -> bool:
    return isinstance(found, dict) and isinstance(found.get("op_code"), int)


def can_wait(record: Record) -> bool:
    """Whether a record is about one trial that exists, and claims nothing."""
    return "trial_id" in record and ("state" not in record or TrialState(record["state"]).is_finished())


def _distributions(record: Record) -> dict[str, str]:
    if "param_name" in record:
        return {record["param_name"]: record["distribution"]}
    return record.get("distributions") or {}


def disagreement(held: Sequence[Record], other: Record) -> str:
    """Why it matters which of them comes first; empty where it does not."""
    # A claim that comes late is none, for of several the first one counts.
    claims = "state" in other and TrialState(other["state"]) == TrialState.RUNNING
    if not claims and other.get("trial_id") in {record["trial_id"] for record in held}:
        return f"it is about the same trial, of id {other['trial_id']}"
    mine = {name: text for record in held for name, text in _distributions(record).items()}
    for name, text in _distributions(other).items():
        if mine.get(name, text) != text:
            try:
                check_distribution_compatibility(json_to_distribution(mine[name]), json_to_distribution(text))
            except ValueError as error:
                return f"it gives {name!r} another distribution: {error}"
    return ""
