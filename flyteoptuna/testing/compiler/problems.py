"""Compile errors: codes, messages and a collector for each compilation step."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from flyteidl.core.types_pb2 import LiteralType, SimpleType
from google.protobuf import text_format

from flyteoptuna.errors import FlyteOptunaError


@dataclass(frozen=True)
class Problem:
    """One compile error.

    Attributes:
        code: Flyte's error code, such as ``MismatchingTypes``.
        node: ID of the node.
        description: the rule and the values that break it.
    """

    code: str
    node: str
    description: str

    def __str__(self) -> str:
        return f"Code: {self.code}, Node Id: {self.node}, Description: {self.description}"


class CompileError(FlyteOptunaError, ValueError):
    """Flyte's compiler refuses a workflow or the graph of a dynamic task.

    Attributes:
        problems: the compile errors without repeats, in the order of their discovery.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = [*dict.fromkeys(problems)]
        lines = [f"\tError {index}: {problem}" for index, problem in enumerate(self.problems)]
        super().__init__("\n".join((f"Collected Errors: {len(lines)}", *lines)))


class ProblemCollector:
    """Collector of the compile errors of one step, which also reports them to the enclosing step."""

    def __init__(self, parent: ProblemCollector | None = None) -> None:
        self.found: list[Problem] = []
        self._parent = parent

    def add(self, code: str, node: str, description: str) -> None:
        """Collect a compile error."""
        self._append(Problem(code, node, description))

    def _append(self, problem: Problem) -> None:
        self.found.append(problem)
        if self._parent is not None:
            self._parent._append(problem)

    def nested(self) -> ProblemCollector:
        """Return the collector of a nested step."""
        return ProblemCollector(self)

    @property
    def ok(self) -> bool:
        """Whether the step has no errors."""
        return not self.found

    def add_missing_value(self, node: str, name: str) -> None:
        """Collect the error of a missing value."""
        self.add("ValueRequired", node, f"Value required [{name}].")

    def add_missing_condition(self, node: str) -> None:
        """Collect the error of a branch without a condition."""
        about = "One of the branches on the node doesn't have a condition."
        self.add("BranchNodeHasNoCondition", node, about)

    def add_unbound(self, node: str, name: str) -> None:
        """Collect the error of an unbound input or output."""
        self.add("ParameterNotBound", node, f"Parameter not bound [{name}].")

    def add_type_mismatch(self, node: str, name: str, actual: LiteralType | None, expected: LiteralType) -> None:
        """Collect the error of a type that does not cast to the expected one."""
        types = f"(type [{type_text(actual)}]) doesn't match expected type [{type_text(expected)}]"
        self.add("MismatchingTypes", node, f"Variable [{name}] {types}.")

    def add_unknown_variable(self, node: str, name: str) -> None:
        """Collect the error of a variable that the node does not declare."""
        self.add("VariableNameNotFound", node, f"Variable [{name}] not found on node [{node}].")


def proto_text(message: Any) -> str:
    """Return a protobuf as one line of text."""
    return str(text_format.MessageToString(message, as_one_line=True, as_utf8=True)).strip()


def type_text(literal_type: LiteralType | None) -> str:
    """Return a Flyte type as the compiler prints it: a struct by its fields only."""
    if literal_type is None:
        return "None"
    if literal_type.simple != SimpleType.STRUCT:
        return proto_text(literal_type)
    fields = literal_type.structure.dataclass_type.items()
    field_texts = ", ".join(f"dataclass_type:{{key:{name} value:{{{type_text(field)}}}" for name, field in fields)
    return f"simple: STRUCT structure{{{field_texts}}}"
