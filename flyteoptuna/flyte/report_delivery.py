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

from flyteoptuna.core.plain_values import said
from flyteoptuna.core.trial.check_report import read_report
from flyteoptuna.core.trial.report import Expected, TrialReport
from flyteoptuna.flyte.references import Reference, packed, unpacked


class TrialNotCompleteError(RuntimeError):
    """Ends the pod of a cached trial that did not complete, so that Flyte does not cache what it would output."""


def received(sent: Reference) -> list[TrialReport]:
    """The reports in the list that a map returned. What is not as it must be is a report of a failure.

    Read by hand, because flytekit takes about a millisecond for each, and one that it cannot read would end the search.
    """
    collection = sent.literal.collection
    literals = collection.literals if collection is not None else ()
    return [read_report(unpacked(literal)) for literal in literals if not _lost(literal)]


def _lost(literal: Literal) -> bool:
    # What Flyte puts into the list in the place of an element that has failed.
    scalar = literal.scalar
    if scalar is not None and scalar.union is not None:
        return _lost(scalar.union.value)
    return scalar is not None and scalar.none_type is not None


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
    try:
        files = FlyteContextManager.current_context().file_access.get_filesystem_for_path(path)
        files.makedirs(path.rpartition("/")[0], exist_ok=True)
        with files.open(path, "w") as file:
            json.dump(dataclasses.asdict(report), file)
    except Exception as error:
        # Each file system has exceptions of its own. The trial ends as it must, and its reason is in the pod's log.
        raise TrialNotCompleteError(f"Trial {report.trial} is {report.state}: {report.error}") from error
    raise TrialNotCompleteError(f"Trial {report.trial} is {report.state}: {report.error}")


def left(study: Reference, trials: Iterable[Expected]) -> Iterator[TrialReport]:
    """The reports that were left beside a study, of the given trials; those that cannot be read say why."""
    access = FlyteContextManager.current_context().file_access
    for trial in trials:
        path = _path(study, trial.number)
        try:
            with access.get_filesystem_for_path(path).open(path) as file:
                fields = json.load(file)
        except FileNotFoundError:
            continue
        except Exception as error:
            why = f"The report that the trial left cannot be read: {said(error)}"
            yield TrialReport(trial.number, trial.key, error=why)
        else:
            yield read_report(fields, trial.number, trial.key)


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
        return read_report(unpacked(lv))


if TrialReport not in TypeEngine._REGISTRY:
    TypeEngine.register(ReportTransformer())
