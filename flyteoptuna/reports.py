"""The way of a report from a trial's pod to a driver: in the map's list, or in a file where Flyte would cache it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator

import msgpack
from flytekit.core.context_manager import FlyteContextManager
from flytekit.models.literals import Literal

from flyteoptuna.references import Reference
from flyteoptuna.trial import TrialReport


class TrialNotCompleteError(RuntimeError):
    """Ends the pod of a cached trial that did not complete, so that Flyte does not cache what it would output."""


def received(sent: Reference) -> list[TrialReport]:
    """The reports in the list that a map returned; what cannot be read as one is left out.

    Read by hand, because flytekit takes about a millisecond for each, and one that it cannot read would end the search.
    """
    collection = sent.literal.collection
    return [r for r in map(_decoded, collection.literals if collection is not None else ()) if r is not None]


def _decoded(literal: Literal) -> TrialReport | None:
    scalar = literal.scalar
    if scalar is not None and scalar.union is not None:
        return _decoded(scalar.union.value)
    if scalar is None or scalar.binary is None:
        return None
    try:
        return TrialReport(**msgpack.loads(scalar.binary.value, strict_map_key=False))
    except (ValueError, TypeError, msgpack.UnpackException):
        return None


def path_of(study: Reference) -> str | None:
    """Path of the file that holds a study; None where a workflow has bound it inline."""
    fields = msgpack.loads(study.literal.scalar.binary.value, strict_map_key=False)
    path: str | None = fields.get("_path")
    return path


def _path(study: Reference, number: int) -> str:
    return f"{path_of(study)}.reports/{number}.json"


def leave(report: TrialReport, study: Reference) -> None:
    """Write a report beside the study that its batch was asked from.

    Raises:
        TrialNotCompleteError: always, with the report's reason.
    """
    path = _path(study, report.trial)
    files = FlyteContextManager.current_context().file_access.get_filesystem_for_path(path)
    files.makedirs(path.rpartition("/")[0], exist_ok=True)
    with files.open(path, "w") as file:
        json.dump(dataclasses.asdict(report), file)
    raise TrialNotCompleteError(f"Trial {report.trial} is {report.state}: {report.error}")


def left(study: Reference, numbers: Iterable[int]) -> Iterator[TrialReport]:
    """The reports that were left beside a study, of the trials with the given numbers."""
    access = FlyteContextManager.current_context().file_access
    for number in numbers:
        path = _path(study, number)
        try:
            with access.get_filesystem_for_path(path).open(path) as file:
                yield TrialReport(**json.load(file))
        except FileNotFoundError:
            continue
