"""Nodes under compilation: what they are, what they are given, and the variables that they have."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from flyteidl.core import interface_pb2 as interfaces

from flyteoptuna.testing.compiler.problems import Scope

START, END = "start-node", "end-node"

Variables = Mapping[str, interfaces.Variable]


@dataclass(frozen=True)
class Interface:
    """Inputs and outputs by their names."""

    inputs: Variables = field(default_factory=dict)
    outputs: Variables = field(default_factory=dict)


def interface_of(found: Any) -> Interface:
    """Return the interface that a protobuf declares."""
    return Interface(dict(found.inputs.variables), dict(found.outputs.variables))


class CompiledNode:
    """A node, with what the compiler learns of it.

    Attributes:
        proto: the node's protobuf.
        id: its id; that of a branch's node begins with the branch's.
        interface: what it takes and gives; None while it is not known, and where it is wrong.
    """

    def __init__(self, proto: Any) -> None:
        self.proto = proto
        self.id: str = proto.id
        self.interface: Interface | None = None

    @functools.cached_property
    def cases(self) -> list[tuple[Any, CompiledNode | None]]:
        """Conditions of a branch node, with the node of each; None where there is none."""
        block = self.proto.branch_node.if_else
        found = [*([block.case] if block.HasField("case") else []), *block.other]
        return [(each, CompiledNode(each.then_node) if each.HasField("then_node") else None) for each in found]

    @functools.cached_property
    def otherwise(self) -> CompiledNode | None:
        """The node of a branch where no condition holds."""
        block = self.proto.branch_node.if_else
        return CompiledNode(block.else_node) if block.WhichOneof("default") == "else_node" else None

    @functools.cached_property
    def element(self) -> CompiledNode:
        """The node that a map runs for each element."""
        return CompiledNode(self.proto.array_node.node)

    def outputs(self, scope: Scope) -> dict[str, interfaces.Variable] | None:
        """Return the outputs by the names that other nodes know them by; None where they are not known."""
        aliases: dict[str, str] = {}
        for alias in self.proto.output_aliases:
            if alias.var in aliases:
                about = "An output alias can only be used once in the Workflow."
                scope.add("DuplicateAlias", self.id, f"Duplicate alias [{alias.alias}] found. {about}")
            else:
                aliases[alias.var] = alias.alias
        if self.interface is None:
            return None
        found = {aliases.pop(name, name): variable for name, variable in self.interface.outputs.items()}
        for alias in aliases.values():
            scope.unbound(self.id, alias)
        return found

    def output(self, name: str, scope: Scope) -> interfaces.Variable | None:
        """Return an output; None, with an error, where there is none."""
        inner = scope.inner()
        found = self.outputs(inner)
        if not inner.ok:
            return None
        if found is None or name not in found:
            scope.unknown(self.id, name)
            return None
        return found[name]


class Graph(Protocol):
    """The workflow that is being compiled, as far as its nodes need it."""

    nodes: dict[str, CompiledNode]
    tasks: Mapping[bytes, Any]
    workflows: Mapping[bytes, Any]
    launch_plans: Mapping[bytes, Any]
    template: Any

    def feed(self, upstream: str, node: CompiledNode, *, downstream: bool) -> None:
        """Note that a node needs another one's outputs, and whether it is started by that one."""


def nodes_of(node: Any) -> Iterator[Any]:
    """Yield the nodes of which a branch node runs one; none for a node of another kind."""
    if node.WhichOneof("target") != "branch_node":
        return
    block = node.branch_node.if_else
    yield from (case.then_node for case in (block.case, *block.other))
    if block.WhichOneof("default") == "else_node":
        yield block.else_node


def nodes_of_workflow(template: Any) -> list[Any]:
    """Return all nodes of a workflow, its failure node among them."""
    return [*template.nodes, *([template.failure_node] if template.HasField("failure_node") else [])]


def key(identifier: Any) -> bytes:
    """Return the key of what an identifier names."""
    found: bytes = identifier.SerializeToString(deterministic=True)
    return found
