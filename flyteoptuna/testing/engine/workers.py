"""Threads that drive pods: nodes of a graph and elements of an array, and how many pods run at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from typing import Any


class Workers:
    """Runs what is independent at the same time; only `slot` limits how many pods there are at once.

    Args:
        pods: the most pods at once.
    """

    def __init__(self, pods: int) -> None:
        self._pods = pods
        self._slots = threading.BoundedSemaphore(pods)

    def slot(self) -> AbstractContextManager[Any]:
        """Return a context in which one pod may run."""
        return self._slots

    def graph(self, ready: Callable[[], list[Any]], run: Callable[[Any], None], *, to_the_end: bool = False) -> None:
        """Run the nodes of a graph.

        Args:
            ready: takes out the nodes that can run now; called again after each node.
            run: runs a node. Once one raises no more are started, and its error is raised when the others have ended.
            to_the_end: start those that can run even so.
        """
        nodes = ready()
        while len(nodes) == 1 and not to_the_end:
            run(nodes[0])
            nodes = ready()
        if not nodes:
            return
        with ThreadPoolExecutor(len(nodes) * 2) as pool:
            running: set[Future[None]] = {pool.submit(run, node) for node in nodes}
            failed: BaseException | None = None
            while running:
                ended, running = wait(running, return_when=FIRST_COMPLETED)
                failed = failed or next(filter(None, (future.exception() for future in ended)), None)
                if failed is None or to_the_end:
                    running |= {pool.submit(run, node) for node in ready()}
        if failed is not None:
            raise failed

    def map(self, run: Callable[[int], Any], size: int, parallelism: int) -> list[Any]:
        """Call `run` for each index below `size`, in order, at most `parallelism` at once (0: no limit)."""
        with ThreadPoolExecutor(min(parallelism or size, size, self._pods)) as pool:
            return list(pool.map(run, range(size)))
