"""Run independent nodes and array elements in threads, with a limit of pods at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from typing import Any


class PodThreads:
    """Threads for nodes and array elements, of which only those inside ``slot`` run a pod.

    Args:
        pods_at_once: maximum number of pods at once.
    """

    def __init__(self, pods_at_once: int) -> None:
        self._pods_at_once = pods_at_once
        self._slots = threading.BoundedSemaphore(pods_at_once)

    def slot(self) -> AbstractContextManager[Any]:
        """Return a context in which one pod may run."""
        return self._slots

    def run_nodes(
        self, take_ready: Callable[[], list[Any]], run: Callable[[Any], None], *, continue_on_failure: bool = False
    ) -> None:
        """Run the nodes of a graph.

        Args:
            take_ready: removes and returns the nodes that can run now; called again after each node.
            run: runs a node. After an error no more nodes start, and the error is raised once the others have ended.
            continue_on_failure: start nodes that can run after an error too.
        """
        nodes = take_ready()
        while len(nodes) == 1 and not continue_on_failure:
            run(nodes[0])
            nodes = take_ready()
        if not nodes:
            return
        with ThreadPoolExecutor(len(nodes) * 2) as pool:
            running: set[Future[None]] = {pool.submit(run, node) for node in nodes}
            error: BaseException | None = None
            while running:
                ended, running = wait(running, return_when=FIRST_COMPLETED)
                error = error or next(filter(None, (future.exception() for future in ended)), None)
                if error is None or continue_on_failure:
                    running |= {pool.submit(run, node) for node in take_ready()}
        if error is not None:
            raise error

    def run_elements(self, run: Callable[[int], Any], size: int, parallelism: int) -> None:
        """Call ``run`` for each index below ``size`` in order, at most ``parallelism`` at once (0: no limit)."""
        with ThreadPoolExecutor(min(parallelism or size, size, self._pods_at_once)) as pool:
            list(pool.map(run, range(size)))
