"""Handles on their way to trials, and reports on their way back: in the output of the map, or beside the study.

A report of a cached task that failed is a file, because Flyte would cache it as an output.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Iterable, Iterator
from typing import Any

from flytekit.core.context_manager import FlyteContext, FlyteContextManager
from flytekit.core.data_persistence import FileAccessProvider
from flytekit.core.type_engine import TypeEngine, TypeTransformer
from flytekit.models import types as model_types
from flytekit.models.literals import Literal

from flyteoptuna.errors import StoreError, TrialNotCompleteError
from flyteoptuna.flyte.references import Reference, msgpack_fields, msgpack_literal
from flyteoptuna.trial.check_report import parse_report
from flyteoptuna.trial.report import ReportingTrial, TrialHandle, TrialReport
from flyteoptuna.values.retries import retry
from flyteoptuna.values.text import exception_line


class HandleReference(Reference):
    """The handle of a trial, converted to a literal only if it leaves this process."""

    def __init__(self, handle: TrialHandle) -> None:
        self.handle = handle

    @functools.cached_property
    def literal(self) -> Literal:
        """The handle as a literal."""
        return msgpack_literal(vars(self.handle))


def read_handle(reference: Reference) -> TrialHandle:
    """Read the handle of a trial from its reference, without unpacking it in the process that made it."""
    if isinstance(reference, HandleReference):
        return reference.handle
    return TrialHandle(**msgpack_fields(reference.literal))


def read_map_reports(outputs: Reference) -> list[TrialReport]:
    """Read the reports that a map returned. An invalid one becomes the report of a failure.

    Flytekit takes 1 ms for each, and would end the search at an invalid one.
    """
    collection = outputs.literal.collection
    literals = collection.literals if collection is not None else ()
    return [parse_report(msgpack_fields(literal)) for literal in literals if not _is_lost(literal)]


def _is_lost(literal: Literal) -> bool:
    # Flyte puts None into the list for an element that has failed.
    scalar = literal.scalar
    if scalar is not None and scalar.union is not None:
        return _is_lost(scalar.union.value)
    return scalar is not None and scalar.none_type is not None


def study_path(study: Reference) -> str | None:
    """Path of the file of a study; None if the workflow binds the study inline."""
    return msgpack_fields(study.literal).get("_path")


def _report_path(study: Reference, number: int) -> str:
    return f"{study_path(study)}.reports/{number}.json"


def write_failure_report(report: TrialReport, study: Reference) -> None:
    """Write a report beside the study of its batch, and raise a ``TrialNotCompleteError`` with the report's reason."""
    path = _report_path(study, report.trial)
    try:
        files = FlyteContextManager.current_context().file_access.get_filesystem_for_path(path)
        files.makedirs(path.rpartition("/")[0], exist_ok=True)
        with files.open(path, "w") as file:
            json.dump(dataclasses.asdict(report), file)
    except Exception as error:
        # File systems raise various exceptions. The trial fails all the same, and its reason is in the log of the pod.
        raise TrialNotCompleteError(f"Trial {report.trial} is {report.state}: {report.error}") from error
    raise TrialNotCompleteError(f"Trial {report.trial} is {report.state}: {report.error}")


def read_failure_reports(study: Reference, trials: Iterable[ReportingTrial]) -> Iterator[TrialReport]:
    """Read the reports of trials beside a study. An unreadable one becomes the report of a failure with the reason.

    Raises:
        StoreError: the store does not answer.
    """
    access = FlyteContextManager.current_context().file_access
    for trial in trials:
        path = _report_path(study, trial.number)
        try:
            fields = json.loads(_read_file(access, path))
        except FileNotFoundError:
            continue
        except StoreError:
            raise
        except Exception as error:
            reason = f"The report that the trial left cannot be read: {exception_line(error)}"
            yield TrialReport(trial.number, trial.key, error=reason)
        else:
            yield parse_report(fields, trial.number, trial.key)


def _read_file(access: FileAccessProvider, path: str) -> bytes:
    def read() -> bytes:
        with access.get_filesystem_for_path(path).open(path) as file:
            return bytes(file.read())

    return retry(lambda: f"{path} cannot be read", read)


class ReportTransformer(TypeTransformer[TrialReport]):
    """A report as a struct without a schema. Flytekit's transformer of dataclasses takes 0.1 s to import."""

    def __init__(self) -> None:
        super().__init__("flyteoptuna.TrialReport", TrialReport)

    def get_literal_type(self, t: type[TrialReport]) -> model_types.LiteralType:
        """A struct with a tag."""
        structure = model_types.TypeStructure(tag="flyteoptuna.TrialReport")
        return model_types.LiteralType(simple=model_types.SimpleType.STRUCT, structure=structure)

    def to_literal(self, ctx: FlyteContext, python_val: TrialReport, python_type: Any, expected: Any) -> Literal:
        """The report as msgpack."""
        return msgpack_literal(vars(python_val))

    def to_python_value(self, ctx: FlyteContext, lv: Literal, expected_python_type: Any) -> TrialReport:
        """The report."""
        return parse_report(msgpack_fields(lv))


TypeEngine.register_additional_type(ReportTransformer(), TrialReport)
