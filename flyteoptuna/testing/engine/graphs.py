"""Records of the graphs of a run, and the data for its recovery."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from flyteoptuna.testing.compiler.nodes import END, START, iter_branch_targets
from flyteoptuna.testing.pods.literals import Literals

# IDs of the start and end nodes. The start node's may be empty.
END_NODES = ("", START, END)


def upstream_ids(node: Any) -> list[str]:
    """Return the sorted IDs of the nodes that a node and its branches wait for, without the start node."""
    branches = {name for branch in iter_branch_targets(node) for name in upstream_ids(branch)}
    return sorted({name for name in node.upstream_node_ids if name not in END_NODES} | branches)


@dataclass(frozen=True)
class ExecutionGraph:
    """Record of a graph of a run.

    Args:
        path: path of the node that ran the graph; empty for the workflow.
        nodes: the ID of each node with the IDs of its upstream nodes.
    """

    path: str
    nodes: tuple[tuple[str, tuple[str, ...]], ...]

    @property
    def is_chain(self) -> bool:
        """Whether each node has at most one upstream and one downstream node."""
        sources = [source for _, sources in self.nodes for source in sources]
        return all(len(sources) <= 1 for _, sources in self.nodes) and len(sources) == len(set(sources))

    @property
    def visits(self) -> int:
        """Node visits of one traversal by flytepropeller, which visits a node once for each path from the start."""
        sources = dict(self.nodes)
        counts: dict[str, int] = {}

        def count_paths(name: str) -> int:
            if name not in counts:
                counts[name] = sum(map(count_paths, sources[name])) or 1
            return counts[name]

        return sum(map(count_paths, sources))


def record_graph(path: str, nodes: Iterable[Any]) -> ExecutionGraph:
    """Return the record of a graph of node protobufs."""
    return ExecutionGraph(path, tuple((node.id, tuple(upstream_ids(node))) for node in nodes))


@dataclass
class RecoveryData:
    """Data of a run for its recovery, by node path.

    Args:
        outputs: outputs of finished nodes.
        futures: serialised graphs of dynamic tasks.
    """

    outputs: dict[str, Literals] = field(default_factory=dict)
    futures: dict[str, bytes] = field(default_factory=dict)
