"""Nodes under compilation, with their interfaces, branches and outputs."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from flyteidl.core import interface_pb2 as interfaces

from flyteoptuna.testing.compiler.problems import ProblemCollector

# IDs of the nodes that stand for a workflow's inputs and outputs.
START, END = "start-node", "end-node"

Variables = Mapping[str, interfaces.Variable]


@dataclass(frozen=True)
class Interface:
    """Input and output variables by name."""

    inputs: Variables = field(default_factory=dict)
    outputs: Variables = field(default_factory=dict)


def declared_interface(interface: Any) -> Interface:
    """Return the interface in a ``TypedInterface`` protobuf."""
    return Interface(dict(interface.inputs.variables), dict(interface.outputs.variables))


class CompiledNode:
    """A node with the results of its compilation.

    Attributes:
        proto: the node's protobuf.
        id: its ID. The ID of a branch starts with the ID of its branch node.
        interface: its inputs and outputs; None before they are resolved, and if they are invalid.
    """

    def __init__(self, proto: Any) -> None:
        self.proto = proto
        self.id: str = proto.id
        self.interface: Interface | None = None

    @functools.cached_property
    def cases(self) -> list[tuple[Any, CompiledNode | None]]:
        """Cases of a branch node with their nodes; None for a case without a node."""
        block = self.proto.branch_node.if_else
        cases = [*([block.case] if block.HasField("case") else []), *block.other]
        return [(case, CompiledNode(case.then_node) if case.HasField("then_node") else None) for case in cases]

    @functools.cached_property
    def otherwise(self) -> CompiledNode | None:
        """Node of a branch node if no condition holds; None if there is none."""
        block = self.proto.branch_node.if_else
        return CompiledNode(block.else_node) if block.WhichOneof("default") == "else_node" else None

    @functools.cached_property
    def element(self) -> CompiledNode:
        """Node that an array node runs for each element."""
        return CompiledNode(self.proto.array_node.node)

    def outputs(self, problems: ProblemCollector) -> dict[str, interfaces.Variable] | None:
        """Return the outputs by their names or aliases; None before the interface is resolved."""
        aliases: dict[str, str] = {}
        for alias in self.proto.output_aliases:
            if alias.var in aliases:
                about = "An output alias can only be used once in the Workflow."
                problems.add("DuplicateAlias", self.id, f"Duplicate alias [{alias.alias}] found. {about}")
            else:
                aliases[alias.var] = alias.alias
        if self.interface is None:
            return None
        outputs = {aliases.pop(name, name): variable for name, variable in self.interface.outputs.items()}
        for alias in aliases.values():
            problems.add_unbound(self.id, alias)
        return outputs

    def output(self, name: str, problems: ProblemCollector) -> interfaces.Variable | None:
        """Return an output, or collect an error and return None."""
        nested = problems.nested()
        outputs = self.outputs(nested)
        if not nested.ok:
            return None
        if outputs is None or name not in outputs:
            problems.add_unknown_variable(self.id, name)
            return None
        return outputs[name]


class CompiledGraph(Protocol):
    """Interface of the workflow under compilation that the checks of its nodes use."""

    nodes: dict[str, CompiledNode]
    tasks: Mapping[bytes, Any]
    workflows: Mapping[bytes, Any]
    launch_plans: Mapping[bytes, Any]
    template: Any

    def add_edge(self, upstream: str, node: CompiledNode, *, downstream: bool) -> None:
        """Add an edge from an upstream node.

        Args:
            upstream: ID of the upstream node.
            node: the downstream node.
            downstream: whether the upstream node starts it.
        """


def iter_branch_targets(node: Any) -> Iterator[Any]:
    """Yield the nodes of all branches of a branch node; nothing for any other node."""
    if node.WhichOneof("target") != "branch_node":
        return
    block = node.branch_node.if_else
    yield from (case.then_node for case in (block.case, *block.other))
    if block.WhichOneof("default") == "else_node":
        yield block.else_node


def workflow_nodes(template: Any) -> list[Any]:
    """Return all nodes of a workflow, including its failure node."""
    return [*template.nodes, *([template.failure_node] if template.HasField("failure_node") else [])]


def identifier_key(identifier: Any) -> bytes:
    """Return an identifier as a dictionary key."""
    return bytes(identifier.SerializeToString(deterministic=True))
