"""Compile errors: their codes, their collection by scopes, their text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from flyteidl.core.types_pb2 import LiteralType, SimpleType
from google.protobuf import text_format


@dataclass(frozen=True)
class Problem:
    """One compile error.

    Attributes:
        code: Flyte's code, such as ``MismatchingTypes``.
        node: id of the node.
        description: the values that do not fit.
    """

    code: str
    node: str
    description: str

    def __str__(self) -> str:
        return f"Code: {self.code}, Node Id: {self.node}, Description: {self.description}"


class CompileError(ValueError):
    """A workflow, or the graph of a dynamic task, that Flyte's compiler refuses.

    Attributes:
        problems: the compile errors, each once, in the order in which they were found.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = [*dict.fromkeys(problems)]
        lines = [f"\tError {index}: {problem}" for index, problem in enumerate(self.problems)]
        super().__init__("\n".join((f"Collected Errors: {len(lines)}", *lines)))


class Scope:
    """Collects the compile errors of one step, and hands each to the step that it is a part of."""

    def __init__(self, parent: Scope | None = None) -> None:
        self.problems: list[Problem] = []
        self._parent = parent

    def add(self, code: str, node: str, description: str) -> None:
        """Collect a compile error."""
        self._put(Problem(code, node, description))

    def _put(self, problem: Problem) -> None:
        self.problems.append(problem)
        if self._parent is not None:
            self._parent._put(problem)

    def inner(self) -> Scope:
        """Return the scope of a step of this one."""
        return Scope(self)

    @property
    def ok(self) -> bool:
        """Whether there is no error so far."""
        return not self.problems

    def required(self, node: str, name: str) -> None:
        """Collect the error of a value that is missing."""
        self.add("ValueRequired", node, f"Value required [{name}].")

    def unconditional(self, node: str) -> None:
        """Collect the error of a branch without a condition."""
        about = "One of the branches on the node doesn't have a condition."
        self.add("BranchNodeHasNoCondition", node, about)

    def unbound(self, node: str, name: str) -> None:
        """Collect the error of an input or an output that nothing is bound to."""
        self.add("ParameterNotBound", node, f"Parameter not bound [{name}].")

    def mismatching(self, node: str, name: str, found: LiteralType | None, wanted: LiteralType) -> None:
        """Collect the error of a value of a type that does not cast."""
        kinds = f"(type [{type_text(found)}]) doesn't match expected type [{type_text(wanted)}]"
        self.add("MismatchingTypes", node, f"Variable [{name}] {kinds}.")

    def unknown(self, node: str, name: str) -> None:
        """Collect the error of a variable that a node does not have."""
        self.add("VariableNameNotFound", node, f"Variable [{name}] not found on node [{node}].")


def text(message: Any) -> str:
    """Return a protobuf in one line."""
    return str(text_format.MessageToString(message, as_one_line=True, as_utf8=True)).strip()


def type_text(found: LiteralType | None) -> str:
    """Return a Flyte type as the compiler shows it: of a struct, its fields alone."""
    if found is None:
        return "None"
    if found.simple != SimpleType.STRUCT:
        return text(found)
    fields = found.structure.dataclass_type.items()
    shown = ", ".join(f"dataclass_type:{{key:{name} value:{{{type_text(kind)}}}" for name, kind in fields)
    return f"simple: STRUCT structure{{{shown}}}"
