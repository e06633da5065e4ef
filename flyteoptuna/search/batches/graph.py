"""The graph of a search in batches: the tasks search, span, ask, trials and finish."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from types import GenericAlias
from typing import Any

from flytekit.core.promise import Promise

from flyteoptuna.flyte.literal_hashes import HashedInputs, hashed_inputs, input_hashes
from flyteoptuna.flyte.objective import STUDY, TRIAL, origin_signature
from flyteoptuna.flyte.promises import StudyPromise
from flyteoptuna.flyte.references import Reference, by_reference, list_reference
from flyteoptuna.logs import logger
from flyteoptuna.search import plan
from flyteoptuna.search.best_outputs import NONE_USED, USED
from flyteoptuna.search.driver_tasks import (
    DYNAMIC,
    INPUT,
    PLAIN,
    add_node,
    driver_task,
    output_tuple,
    study_input,
    variable_names,
)
from flyteoptuna.search.request import PROMISABLE, SearchRequest
from flyteoptuna.search.search_tasks import SearchTasks, map_task, search_inputs, study_promise
from flyteoptuna.search.trial_inputs import input_builder
from flyteoptuna.search.trial_task import trial_task
from flyteoptuna.study.settings import SearchSettings, batch_size_warning
from flyteoptuna.trial.report import TrialReport

# Tasks whose nodes show the progress of the search.
TASKS_WITH_DECKS = ("ask", "finish")

Reports = by_reference(list[TrialReport | None])


def add_batch_search(request: SearchRequest) -> StudyPromise:
    """Add a search to the workflow that is being compiled; return the promise of its study."""
    _warn_of_small_batches(request.counts)
    tasks = BatchTasks.for_request(request)
    progress = add_node(tasks.search, {**search_inputs(request), **tasks.by_variable(request.fixed)}, tasks.fixed_types)
    outputs = tasks.finish(
        study=progress.study, reports=progress.reports, max_failures=request.counts["max_failures"], used=NONE_USED
    )
    return study_promise(progress.study, outputs, request)


def _warn_of_small_batches(counts: Mapping[str, Any]) -> None:
    # Of promises, the pod of the search says it.
    numbers = [counts[name] for name in ("n_trials", "concurrency", "batch_size")]
    if not any(isinstance(number, Promise) for number in numbers) and (warning := batch_size_warning(*numbers)):
        logger.warning(warning)


class BatchTasks(SearchTasks):
    """Tasks of one search in batches."""

    REBUILD = "flyteoptuna.search.batches.graph:rebuild_batch_task"

    def _task(self, role: str, body: Callable[..., Any], inputs: Mapping[str, Any], output: Any, mode: Any) -> Any:
        args, deck = self._loader_args(role), role in TASKS_WITH_DECKS
        return driver_task(self._task_name(role), args, self.objective, body, inputs, output, mode=mode, deck=deck)

    @functools.cached_property
    def _state_types(self) -> dict[str, Any]:
        # Imported late: a trial's pod imports this module, and must not pay for optuna.
        import optuna

        return {"study": by_reference(optuna.Study), "reports": Reports, "over": bool}

    @functools.cached_property
    def _list_types(self) -> dict[str, Any]:
        """Types of the lists to map over, by the names of the trial task's inputs."""
        types = {TRIAL: dict, **self.objective.python_interface.inputs}
        return {name: by_reference(GenericAlias(list, (types[name],))) for name in (TRIAL, *self.mapped)}

    @functools.cached_property
    def _list_variables(self) -> dict[str, str]:
        return variable_names(INPUT, self._list_types)

    @functools.cached_property
    def _progress_output(self) -> Any:
        return output_tuple("Progress", self._state_types)

    @functools.cached_property
    def _ask_output(self) -> Any:
        lists = {self._list_variables[name]: kind for name, kind in self._list_types.items()}
        return output_tuple("Asked", {"study": self._state_types["study"], "over": bool, **lists})

    @functools.cached_property
    def search(self) -> Any:
        """Dynamic task that begins the study and emits the top span."""
        inputs = {**PROMISABLE, "space": str, "strategies": str, **study_input(self.start), **self._fixed_references}
        return self._task("search", self._search, inputs, self._progress_output, DYNAMIC)

    @functools.cached_property
    def span(self) -> Any:
        """Dynamic task that emits consecutive generations."""
        inputs = {"start": int, "stop": int, **self._state_types, "settings": str, **self._fixed_references}
        return self._task("span", self._span, inputs, self._progress_output, DYNAMIC)

    @functools.cached_property
    def ask(self) -> Any:
        """Task that tells the reports of the previous generation and asks the trials of this one."""
        inputs = {"index": int, **self._state_types, "settings": str, **self._ask_inputs(self._fixed_references)}
        return self._task("ask", self._ask, inputs, self._ask_output, PLAIN)

    @functools.cached_property
    def finish(self) -> Any:
        """Task that tells the last reports and outputs the study."""
        inputs = {"study": self._state_types["study"], "reports": Reports, "max_failures": int | None, USED: str}
        return self._task("finish", self._finish, inputs, self._finish_output, PLAIN)

    def _ask_inputs(self, fixed: dict[str, Any]) -> dict[str, Any]:
        # Fixed inputs that no callback reads go to the trials alone.
        return fixed if self.by_callback else {}

    def _search(self, space: str, strategies: str, study: Reference | None = None, **given: Any) -> Any:
        """Begin the study and emit the top span."""
        from flyteoptuna.flyte.study_type import StudyReference
        from flyteoptuna.search.batches import driver

        budgets = {name: given.pop(name) for name in PROMISABLE}
        fixed = driver.convert_fixed(given, self.fixed_types, self.fixed_variables)
        hashes = input_hashes(self._by_user_name(fixed)) if self.objective.metadata.cache else {}
        settings = SearchSettings(**budgets, space=space, hashes=hashes)
        text = settings.to_json()
        driver.check_fixed_size([*fixed.values()], text, plan.ARITY)
        name = origin_signature(self.origin)
        state = driver.begin_in_pod(study, settings, self.directions, strategies, batches=True, objective=name)
        stop = plan.count_generations(settings.n_trials, settings.batch_size)
        return self._span(0, stop, StudyReference(state), list_reference([]), over=False, settings=text, **fixed)

    def _span(self, start: int, stop: int, study: Any, reports: Any, over: bool, settings: str, **fixed: Any) -> Any:
        """Emit the nodes of a span: its generations and its inner spans, one after another."""
        progress = self._progress_output(study, reports, over)
        if over:
            return progress
        for child in plan.split_span(plan.Span(start, stop)):
            state = {**progress._asdict(), "settings": settings}
            if len(child) > 1:
                progress = self.span(start=child.start, stop=child.stop, **state, **fixed)
            else:
                progress = self._add_generation(child.start, state, fixed, first=child.start == start)
        return self._progress_output(*progress)

    def _add_generation(self, index: int, state: dict[str, Any], fixed: dict[str, Any], *, first: bool) -> Any:
        """Add the nodes of a generation: its map, and `ask` unless the pod of the span asks it."""
        asked, inputs = None, {"index": index, **state, **self._ask_inputs(fixed)}
        if first:
            from flyteoptuna.search.batches import driver

            asked = self._ask(**inputs, draw=False)
            if asked.over or not len(getattr(asked, self._list_variables[TRIAL])):
                return self._progress_output(asked.study, list_reference([]), asked.over)
            if not driver.fits_inline(asked, cached=self.objective.metadata.cache):
                asked = None
        if asked is None:
            asked = self.ask(**inputs)
        settings = SearchSettings.from_json(state["settings"])
        shared = {} if self.by_callback else self._by_user_name(fixed, settings.hashes)
        task = trial_task(self.objective, self.mapped, tuple(shared), hashed=self._hashed(shared, settings))
        lists = {name: getattr(asked, variable) for name, variable in self._list_variables.items()}
        reports = map_task(task, (STUDY, *shared), settings.concurrency)(**{STUDY: asked.study}, **shared, **lists)
        # Flyte hashes ids of more than 20 characters, which keeps the pods of generations apart.
        reports = reports.with_overrides(node_name=f"trials-of-generation-{index}")
        return self._progress_output(asked.study, reports, asked.over)

    def _hashed(self, shared: dict[str, Any], settings: SearchSettings) -> HashedInputs:
        """Those of the inputs of all trials whose hashes stand for them in Flyte's cache."""
        names = shared.keys() & settings.hashes.keys()
        return hashed_inputs({n: shared[n] for n in names - {*self.objective.metadata.cache_ignore_input_vars}})

    def _ask(
        self, index: int, study: Any, reports: Any, over: bool, settings: str, *, draw: bool = True, **fixed: Any
    ) -> Any:
        """Tell the previous batch and ask the next; ask nothing once the search is over."""
        from flyteoptuna.search.batches import driver

        if over:
            return self._ask_output(study, over, *(list_reference([]) for _ in self._list_types))
        budget = SearchSettings.from_json(settings)
        inputs = self._by_user_name(fixed, budget.hashes) if fixed else {}
        build = input_builder(self.origin, self.objective, budget.space, inputs)
        asked = driver.ask_in_pod(index, study, reports, budget, build, self.mapped, draw=draw)
        return self._ask_output(asked.study, asked.over, *asked.lists.values())

    def _finish(self, study: Reference, reports: Reference, max_failures: int | None, used: str) -> Any:
        """Tell the last batch and output the study."""
        from flyteoptuna.search.batches import driver

        return self._finish_with(driver.read_and_tell(study, reports, max_failures, last=True), used)


def rebuild_batch_task(role: str, *args: str) -> Any:
    """Rebuild a task of a search in batches, from its loader arguments."""
    return BatchTasks.rebuild_task(role, *args)
