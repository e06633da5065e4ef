"""The way of a report from a trial's pod to a driver: in the map's list, or in a file where Flyte would cache it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator
from typing import Any

from flytekit.core.context_manager import FlyteContext, FlyteContextManager
from flytekit.core.type_engine import TypeEngine, TypeTransformer
from flytekit.models import types as model_types
from flytekit.models.literals import Literal

from flyteoptuna.core.report import TrialReport
from flyteoptuna.flyte.references import Reference, packed, unpacked


class TrialNotCompleteError(RuntimeError):
    """Ends the pod of a cached trial that did not complete, so that Flyte does not cache what it would output."""


def received(sent: Reference) -> list[TrialReport]:
    """The reports in the list that a map returned; what cannot be read as one is left out.

    Read by hand, because flytekit takes about a millisecond for each, and one that it cannot read would end the search.
    """
    collection = sent.literal.collection
    return [r for r in map(_report, collection.literals if collection is not None else ()) if r is not None]


def _report(literal: Literal) -> TrialReport | None:
    try:
        return TrialReport(**unpacked(literal))
    except TypeError:
        return None


def path_of(study: Reference) -> str | None:
    """Path of the file that holds a study; None where a workflow has bound it inline."""
    return unpacked(study.literal).get("_path")


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


class ReportTransformer(TypeTransformer[TrialReport]):
    """A report as a struct without a schema. Flytekit's own for dataclasses costs a trial's pod 0.1 s of imports."""

    def __init__(self) -> None:
        super().__init__("flyteoptuna.TrialReport", TrialReport)

    def get_literal_type(self, t: type[TrialReport]) -> model_types.LiteralType:
        """A struct that is told apart by its tag."""
        structure = model_types.TypeStructure(tag="flyteoptuna.TrialReport")
        return model_types.LiteralType(simple=model_types.SimpleType.STRUCT, structure=structure)

    def to_literal(self, ctx: FlyteContext, python_val: TrialReport, python_type: Any, expected: Any) -> Literal:
        """The report as msgpack."""
        return packed(vars(python_val))

    def to_python_value(self, ctx: FlyteContext, lv: Literal, expected_python_type: Any) -> TrialReport:
        """The report."""
        report = _report(lv)
        if report is None:
            raise TypeError(f"Not the literal of a TrialReport: {lv}")
        return report


if TrialReport not in TypeEngine._REGISTRY:
    TypeEngine.register(ReportTransformer())
