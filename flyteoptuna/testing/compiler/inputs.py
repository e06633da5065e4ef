"""Inputs of an execution, as Flyte's admin checks them against the types that the workflow declares.

Source: ``flyteadmin/pkg/manager/impl/validation``: ``validation.go``, ``launch_plan_validator.go`` and
``execution_validator.go``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flyteidl.core import literals_pb2 as pb
from flyteidl.core.types_pb2 import LiteralType

from flyteoptuna.flyte.types.casts import type_of
from flyteoptuna.testing.compiler.bindings import casts
from flyteoptuna.testing.compiler.problems import CompileError, Problem, text, type_text

_CODE = "InvalidArgument"


def check_inputs(given: Mapping[str, pb.Literal], declared: Mapping[str, Any]) -> dict[str, pb.Literal]:
    """Check the inputs of an execution; all of them, with the defaults.

    Args:
        given: the inputs by their names.
        declared: the parameters of the launch plan: types, and defaults.

    Raises:
        CompileError: admin would refuse the execution; says all that is wrong with it.
    """
    problems = [f"invalid input {name}" for name in given if name not in declared]
    for name, parameter in declared.items():
        wanted = parameter.var.type
        if name in given:
            found = type_of(given[name])
            if not _known(found):
                problems.append(f"Failed to validate literal type for [{name}]")
            elif found is None or not casts(found, wanted):
                shown = f"Expected {text(wanted)}, but got {type_text(found)}"
                problems.append(f"invalid {name} input wrong type. {shown}")
        elif parameter.required:
            problems.append(f"expected_inputs {name} missing")
    if problems:
        raise CompileError(Problem(_CODE, "", problem) for problem in problems)
    defaults = {name: each.default for name, each in declared.items() if each.WhichOneof("behavior") == "default"}
    return {**defaults, **given}


def check_defaults(declared: Mapping[str, Any]) -> None:
    """Check the default inputs of a launch plan.

    Raises:
        CompileError: admin would not register it.
    """
    problems = []
    for name, parameter in declared.items():
        if parameter.WhichOneof("behavior") != "default":
            continue
        found, wanted = type_of(parameter.default), parameter.var.type
        if found is None or not _known(found) or not casts(found, wanted):
            shown = f"has type {text(wanted)}, expected {type_text(found)}"
            problems.append(Problem(_CODE, "", f"Type mismatch for Parameter {name} in default_inputs {shown}"))
    if problems:
        raise CompileError(problems)


def _known(found: LiteralType | None) -> bool:
    """Whether a literal's type is known, down to the elements of its lists and dictionaries."""
    while found is not None:
        kind = found.WhichOneof("type")
        if kind not in ("collection_type", "map_value_type"):
            return True
        found = getattr(found, kind) if found.HasField(kind) else None
    return False
