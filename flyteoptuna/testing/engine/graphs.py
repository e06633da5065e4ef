"""The graphs that an engine has run, and what is left of a run for recovery."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from flyteoptuna.testing.compiler.nodes import nodes_of
from flyteoptuna.testing.pods.literals import START, Literals

ENDS = ("", START, "end-node")


def upstream(node: Any) -> list[str]:
    """Return the ids of the nodes that a node, or what it may branch to, waits for, sorted, without the start."""
    inner = {name for each in nodes_of(node) for name in upstream(each)}
    return sorted({name for name in node.upstream_node_ids if name not in ENDS} | inner)


@dataclass(frozen=True)
class Graph:
    """A graph that was run.

    Args:
        path: the path of the node that it belongs to; empty for the workflow.
        nodes: each node's id with the ids of the nodes that it waits for.
    """

    path: str
    nodes: tuple[tuple[str, tuple[str, ...]], ...]

    @property
    def is_chain(self) -> bool:
        """Whether no node feeds any but its one next."""
        sources = [source for _, sources in self.nodes for source in sources]
        return all(len(sources) <= 1 for _, sources in self.nodes) and len(sources) == len(set(sources))

    @property
    def visits(self) -> int:
        """How many nodes Flyte's walk from the start visits in one round, for it visits a node once for each way."""
        sources = dict(self.nodes)
        known: dict[str, int] = {}

        def ways(name: str) -> int:
            if name not in known:
                known[name] = sum(map(ways, sources[name])) or 1
            return known[name]

        return sum(map(ways, sources))


def graph_of(path: str, nodes: Iterable[Any]) -> Graph:
    """Return the record of a graph from its protobufs."""
    return Graph(path, tuple((node.id, tuple(upstream(node))) for node in nodes))


@dataclass
class Finished:
    """What a run leaves for a recovery: outputs and compiled graphs by the path of the node."""

    outputs: dict[str, Literals] = field(default_factory=dict)
    futures: dict[str, bytes] = field(default_factory=dict)
