"""A search with reused pods: three nodes, search, workers and finish, whose workers share the study by a journal."""

from __future__ import annotations

import copy
import dataclasses
import functools
import os
import shutil
import sys
from collections.abc import Callable
from typing import Any

from flytekit.core.array_node_map_task import ArrayNodeMapTask
from flytekit.core.interface import Interface, transform_interface_to_typed_interface

from flyteoptuna.core import plan
from flyteoptuna.flyte.promises import StudyPromise
from flyteoptuna.flyte.references import Reference, by_reference
from flyteoptuna.flyte.resolver import adopt, digest
from flyteoptuna.search.best_outputs import NONE_USED, USED
from flyteoptuna.search.driver_tasks import driver_task, named_tuple, node, study_input
from flyteoptuna.search.entities import Entities, asked, fixed_inputs, promised
from flyteoptuna.search.request import COUNTS, Request
from flyteoptuna.search.timed import end_started
from flyteoptuna.search.trial_inputs import builder

WORKER_RETRIES = 100
"""How often a worker's pod is started again. Each time costs the trial that it ran, and no other."""
INDEX = "optuna_worker"
"""The mapped input: which of the workers a pod is, counted from 0."""
STATE = ("study", "journal", "settings")
"""What workers and finish get: the study as the search began, the journal's folder, the settings as JSON."""


def nodes(request: Request) -> StudyPromise:
    """Add a search to the workflow that is being compiled; a promise of its study."""
    search = ReusedSearch.asked_for(request)
    begun = search.search(**asked(request))
    state = {name: getattr(begun, name) for name in STATE}
    told = node(search.workers, {INDEX: begun.workers, **state, **fixed_inputs(request)}, search.written)
    # Flyte drops the second of two nodes of one id, and a workflow may hold several searches.
    told = told.with_overrides(node_name=f"workers-of-the-search-{begun.journal.ref.node_id}")
    made = search.finish(**state, told=told, used=NONE_USED)
    return promised(made, request)


class ReusedSearch(Entities):
    """Builds the entities of one search with reused pods."""

    BUILDER = "flyteoptuna.search.reused.worker_graph:rebuild"

    @functools.cached_property
    def _state(self) -> dict[str, Any]:
        import optuna

        return dict(zip(STATE, (by_reference(optuna.Study), str, str), strict=True))

    @functools.cached_property
    def search(self) -> Any:
        """The first node: makes the study or takes the given one, and begins the journal."""
        inputs = {**COUNTS, "space": str, "callbacks": str, **study_input(self.start)}
        output = named_tuple("Begun", {**self._state, "workers": list[int]})
        args = self._args("search")
        return driver_task(self._name("search"), args, self.objective, self._search, inputs, output)

    @functools.cached_property
    def worker(self) -> Any:
        """A worker: the objective with the same settings, which runs one trial after another."""
        task = copy.copy(self.objective)
        interface = Interface({INDEX: int, **self._state, **self._fixed}, {"o0": int})
        task._python_interface = task._native_interface = interface
        task._interface = transform_interface_to_typed_interface(interface)
        # A trial is timed by the worker.
        task._metadata = dataclasses.replace(self.objective.metadata, retries=WORKER_RETRIES, timeout=None)
        # What a plugin does around one call of the objective is done for each trial, and not around them all.
        task.execute = functools.partial(self.work, hung=begin_anew)
        args = self._args("worker")
        return adopt(task, f"{self._name('worker')}-{digest(args)}", args)

    @functools.cached_property
    def workers(self) -> Any:
        """The map over the workers, of which any may be lost."""
        bound = {*STATE, *self.written}
        # As many at once as there are.
        mapped = ArrayNodeMapTask(self.worker, concurrency=0, min_success_ratio=0.0, bound_inputs=bound)
        mapped._name = mapped.sub_node_metadata._name = self.worker.name
        return mapped

    @functools.cached_property
    def finish(self) -> Any:
        """The last node: makes the study of the journal."""
        inputs = {**self._state, "told": list[int | None], USED: str}
        args, output = self._args("finish"), self._finished
        return driver_task(self._name("finish"), args, self.objective, self._finish, inputs, output, deck=True)

    def _search(self, space: str, callbacks: str, study: Reference | None = None, **given: Any) -> Any:
        """Begin the search."""
        from flyteoptuna.search.reused import search_journal

        counts = {name: given.pop(name) for name in COUNTS}
        settings = plan.Settings(batch=counts.pop("batch_size"), space=space, **counts)
        begun, journal = search_journal.begin(study, settings, self.directions, callbacks)
        workers = list(range(settings.slots))
        return begun, journal, settings.dumps(), workers

    def work(
        self,
        optuna_worker: int,
        study: Reference,
        journal: str,
        settings: str,
        hung: Callable[[], None] | None = None,
        **fixed: Any,
    ) -> int:
        """Run trials until all are taken; the number of trials that were told.

        Args:
            optuna_worker: which of the workers this is, counted from 0.
            study: the study that the search began from.
            journal: the folder of the journal.
            settings: the settings of the search, as JSON.
            hung: begins this process anew, where a trial has taken longer than its timeout; None for no timeouts.
            fixed: the inputs that all trials share, by their names in the search.
        """
        from flyteoptuna.search.reused import search_journal

        given = plan.settings(settings)
        inputs = self._own_names(fixed)
        build = builder(self.origin, self.objective, given.space, inputs)
        trials = inputs if self.origin is self.objective else {}
        worker = search_journal.worker(
            str(optuna_worker), study, journal, given, self.objective, build, self.mapped, trials, hung
        )
        return worker.run()

    def _finish(self, study: Reference, journal: str, settings: str, told: list[int | None], used: str) -> Any:
        """Output the study."""
        from flyteoptuna.search.reused import search_journal

        return self._output(search_journal.finish(study, journal, plan.settings(settings)), used)


def begin_anew() -> None:
    """Put the pod's own command in the place of this process, whatever its threads are doing."""
    beside = os.path.join(os.path.dirname(sys.executable), sys.argv[0])
    program = shutil.which(sys.argv[0]) or (beside if os.path.exists(beside) else sys.argv[0])
    sys.stdout.flush()
    sys.stderr.flush()
    end_started()
    # What was put on the path after Python had begun is to be found again.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    os.execve(sys.executable, [sys.executable, program, *sys.argv[1:]], environment)  # noqa: S606 - its own command


def rebuild(role: str, *args: str) -> Any:
    """The entity of a search in a fresh process; the arguments are those that the resolver was given."""
    return ReusedSearch.rebuilt(role, *args)
