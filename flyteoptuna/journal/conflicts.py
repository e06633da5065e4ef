"""Conflicts between records that belong together and records of other writers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from optuna.distributions import check_distribution_compatibility, json_to_distribution
from optuna.trial import TrialState

from flyteoptuna.journal.records import Record


def _claims(record: Record) -> bool:
    return "state" in record and TrialState(record["state"]) == TrialState.RUNNING


def _distributions(record: Record) -> dict[str, str]:
    if "param_name" in record:
        return {record["param_name"]: record["distribution"]}
    return record.get("distributions") or {}


def find_conflict(mine: Sequence[Record], others: Iterable[Record]) -> str:
    """Why records must not follow others, in words; empty where the others change nothing for them.

    The others are those that the writer did not know. They conflict if they are about the same trial, or give one of
    its parameters an incompatible distribution.
    """
    trials = {record["trial_id"] for record in mine if "trial_id" in record}
    suggested = {record["param_name"]: record["distribution"] for record in mine if "param_name" in record}
    for other in others:
        # A later claim of a trial has no effect, because the first one counts.
        if other.get("trial_id") in trials and not _claims(other):
            return f"another entry is about the same trial, of id {other['trial_id']}"
        for name, text in _distributions(other).items():
            if suggested.get(name, text) != text:
                try:
                    check_distribution_compatibility(json_to_distribution(text), json_to_distribution(suggested[name]))
                except ValueError as error:
                    return f"another entry gives {name!r} another distribution: {error}"
    return ""
