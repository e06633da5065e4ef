"""Check the inputs of an execution and the defaults of a launch plan, as Flyte's admin does.

Source: ``flyteadmin/pkg/manager/impl/validation``: ``validation.go``, ``launch_plan_validator.go`` and
``execution_validator.go``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from flyteidl.core import literals_pb2 as pb
from flyteidl.core.types_pb2 import LiteralType, UnionType

from flyteoptuna.flyte.types.casts import NONE, infer_scalar_type
from flyteoptuna.testing.compiler.bindings import can_cast_with_schemas
from flyteoptuna.testing.compiler.problems import CompileError, Problem, proto_text, type_text

_INVALID_ARGUMENT = "InvalidArgument"


def check_execution_inputs(inputs: Mapping[str, pb.Literal], declared: Mapping[str, Any]) -> dict[str, pb.Literal]:
    """Check the inputs of an execution, and return them with the defaults filled in.

    Args:
        inputs: the inputs by name.
        declared: the parameters of the launch plan by name: types and defaults.

    Raises:
        CompileError: admin would refuse the execution; lists all problems.
    """
    problems = [f"invalid input {name}" for name in inputs if name not in declared]
    for name, parameter in declared.items():
        expected = parameter.var.type
        if name in inputs:
            actual = infer_literal_type(inputs[name])
            if not _is_known_type(actual):
                problems.append(f"Failed to validate literal type for [{name}]")
            elif actual is None or not can_cast_with_schemas(actual, expected):
                types = f"Expected {proto_text(expected)}, but got {type_text(actual)}"
                problems.append(f"invalid {name} input wrong type. {types}")
        elif parameter.required:
            problems.append(f"expected_inputs {name} missing")
    if problems:
        raise CompileError(Problem(_INVALID_ARGUMENT, "", problem) for problem in problems)
    defaults = {name: p.default for name, p in declared.items() if p.WhichOneof("behavior") == "default"}
    return {**defaults, **inputs}


def check_default_inputs(declared: Mapping[str, Any]) -> None:
    """Check the default inputs of a launch plan.

    Raises:
        CompileError: admin would refuse to register the launch plan.
    """
    problems = []
    for name, parameter in declared.items():
        if parameter.WhichOneof("behavior") != "default":
            continue
        actual, expected = infer_literal_type(parameter.default), parameter.var.type
        if actual is None or not _is_known_type(actual) or not can_cast_with_schemas(actual, expected):
            # Flyte's message has the two types the wrong way round.
            types = f"has type {proto_text(expected)}, expected {type_text(actual)}"
            about = f"Type mismatch for Parameter {name} in default_inputs {types}"
            problems.append(Problem(_INVALID_ARGUMENT, "", about))
    if problems:
        raise CompileError(problems)


def _is_known_type(literal_type: LiteralType | None) -> bool:
    """Test whether a type is known, down to the elements of lists and dictionaries."""
    while literal_type is not None:
        kind = literal_type.WhichOneof("type")
        if kind not in ("collection_type", "map_value_type"):
            return True
        literal_type = getattr(literal_type, kind) if literal_type.HasField(kind) else None
    return False


def infer_literal_type(literal: pb.Literal) -> LiteralType | None:
    """Flyte type that the compiler infers from a literal; None if it infers none."""
    match literal.WhichOneof("value"):
        case "scalar":
            return infer_scalar_type(literal.scalar)
        case "collection":
            return LiteralType(collection_type=_element_type(literal.collection.literals))
        case "map":
            return LiteralType(map_value_type=_element_type(literal.map.literals.values()))
        case "offloaded_metadata":
            metadata = literal.offloaded_metadata
            return metadata.inferred_type if metadata.HasField("inferred_type") else None
        case _:
            return None


def _element_type(literals: Iterable[pb.Literal]) -> LiteralType | None:
    """Type of the elements of a list or a dictionary; a union for several types."""
    types: dict[bytes, LiteralType] = {}
    empty = None
    for literal in literals:
        inner = infer_literal_type(literal)
        if literal.HasField("collection") and not literal.collection.literals:
            empty = inner
        else:
            types.setdefault(
                b"" if inner is None else inner.SerializeToString(deterministic=True), inner or LiteralType()
            )
    kinds = [*types.values()] or ([] if empty is None else [empty])
    if len(kinds) < 2:
        return kinds[0] if kinds else NONE
    kinds.sort(key=str)
    nested = any(kind.collection_type.HasField("union_type") for kind in kinds)
    variants = [
        variant
        for kind in kinds
        for variant in (
            kind.collection_type.union_type.variants if kind.collection_type.HasField("union_type") else [kind]
        )
    ]
    union = LiteralType(union_type=UnionType(variants=variants))
    return LiteralType(collection_type=union) if nested else union
