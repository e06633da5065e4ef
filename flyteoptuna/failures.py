"""Reports of trials that a cached objective must not output: they are left beside the study, and the pod fails."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator

import msgpack
from flytekit.core.context_manager import FlyteContextManager

from flyteoptuna.references import Reference
from flyteoptuna.trial import TrialReport


class TrialNotCompleteError(RuntimeError):
    """Ends the pod of a cached trial that did not complete, so that Flyte does not cache what it would output."""


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
