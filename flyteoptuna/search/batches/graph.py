"""The Flyte entities of a search in batches: search, span, ask, trials and finish."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Mapping
from typing import Any

from flyteoptuna.core import plan
from flyteoptuna.core.trial.report import TrialReport
from flyteoptuna.flyte.objective import STUDY, TRIAL
from flyteoptuna.flyte.promises import StudyPromise
from flyteoptuna.flyte.references import Reference, by_reference, collection
from flyteoptuna.search.best_outputs import NONE_USED, USED
from flyteoptuna.search.driver_tasks import (
    DYNAMIC,
    INPUT,
    PLAIN,
    driver_task,
    named_tuple,
    node,
    study_input,
    variables,
)
from flyteoptuna.search.entities import Entities, asked, fixed_inputs, promised
from flyteoptuna.search.request import COUNTS, Request
from flyteoptuna.search.trial_inputs import builder
from flyteoptuna.search.trial_task import map_task, trial_task

DECKS = ("ask", "finish")
"""The tasks whose nodes show how far the search is."""

Reports = by_reference(list[TrialReport | None])


def nodes(request: Request) -> StudyPromise:
    """Add a search to the workflow that is being compiled; a promise of its study."""
    search = Search.asked_for(request)
    progress = node(search.search, {**asked(request), **fixed_inputs(request)}, search.written)
    made = search.finish(
        study=progress.study, reports=progress.reports, max_failures=request.counts["max_failures"], used=NONE_USED
    )
    return promised(made, request)


class Search(Entities):
    """Builds the entities of one search in batches."""

    BUILDER = "flyteoptuna.search.batches.graph:rebuild"

    def _task(self, role: str, body: Callable[..., Any], inputs: Mapping[str, Any], output: Any, mode: Any) -> Any:
        args, deck = self._args(role), role in DECKS
        return driver_task(self._name(role), args, self.objective, body, inputs, output, mode=mode, deck=deck)

    @functools.cached_property
    def _state(self) -> dict[str, Any]:
        # Made when it is needed: a trial's pod imports this module, but must not pay for optuna.
        import optuna

        return {"study": by_reference(optuna.Study), "reports": Reports, "over": bool}

    @functools.cached_property
    def _lists(self) -> dict[str, Any]:
        """Types of what is mapped, by the names of the trial task's inputs."""
        natives = {TRIAL: dict, **self.objective.python_interface.inputs}
        return {name: by_reference(types.GenericAlias(list, (natives[name],))) for name in (TRIAL, *self.mapped)}

    @functools.cached_property
    def _progress(self) -> Any:
        return named_tuple("Progress", self._state)

    @functools.cached_property
    def _asked(self) -> Any:
        names = variables(INPUT, self._lists)
        lists = {names[name]: kind for name, kind in self._lists.items()}
        return named_tuple("Asked", {"study": self._state["study"], "over": bool, **lists})

    @functools.cached_property
    def search(self) -> Any:
        """The root: makes the study or takes the given one, and emits the top span."""
        inputs = {**COUNTS, "space": str, "callbacks": str, **study_input(self.start), **self._fixed}
        return self._task("search", self._search, inputs, self._progress, DYNAMIC)

    @functools.cached_property
    def span(self) -> Any:
        """Consecutive generations under one node."""
        inputs = {"start": int, "stop": int, **self._state, "settings": str, **self._fixed}
        return self._task("span", self._span, inputs, self._progress, DYNAMIC)

    @functools.cached_property
    def ask(self) -> Any:
        """Tells the reports of the generation before, and asks the trials of this one."""
        inputs = {"index": int, **self._state, "settings": str, **self._for_ask(self._fixed)}
        return self._task("ask", self._ask, inputs, self._asked, PLAIN)

    @functools.cached_property
    def finish(self) -> Any:
        """Tells the last reports and outputs the study."""
        inputs = {"study": self._state["study"], "reports": Reports, "max_failures": int | None, USED: str}
        return self._task("finish", self._finish, inputs, self._finished, PLAIN)

    def _for_ask(self, fixed: dict[str, Any]) -> dict[str, Any]:
        # What no callback looks at goes to the trials alone.
        return {} if self.origin is self.objective else fixed

    def _search(self, space: str, callbacks: str, study: Reference | None = None, **given: Any) -> Any:
        """Begin the search."""
        from flyteoptuna.search.batches import driver

        counts = {name: given.pop(name) for name in COUNTS}
        settings = plan.Settings(batch=counts.pop("batch_size"), space=space, **counts)
        given = driver.converted_inputs(given, self.written, variables(INPUT, self.fixed))
        text = settings.dumps()
        driver.check_fixed([*given.values()], text, plan.ARITY)
        begun = driver.begin(study, settings, self.directions, callbacks)
        stop = plan.generations(settings.n_trials, settings.batch)
        return self._span(0, stop, study=begun, reports=collection([]), over=False, settings=text, **given)

    def _span(self, start: int, stop: int, study: Any, reports: Any, over: bool, settings: str, **fixed: Any) -> Any:
        """Run generations one after another."""
        progress = self._progress(study, reports, over)
        if over:
            return progress
        for child in plan.children(plan.Span(start, stop)):
            state = {**progress._asdict(), "settings": settings}
            if len(child) > 1:
                progress = self.span(start=child.start, stop=child.stop, **state, **fixed)
            else:
                progress = self._generation(child.start, state, fixed, first=child.start == start)
        return self._progress(*progress)

    def _generation(self, index: int, state: dict[str, Any], fixed: dict[str, Any], *, first: bool) -> Any:
        """Two nodes, ask and trials; of the first generation of a span, the span's own pod asks the trials."""
        asked, known = None, {"index": index, **state, **self._for_ask(fixed)}
        if first:
            from flyteoptuna.search.batches import driver

            asked = self._ask(**known, shown=False)
            if asked.over or not len(getattr(asked, f"{INPUT}{TRIAL}")):
                return self._progress(asked.study, collection([]), asked.over)
            if not driver.fits(asked):
                asked = None
        if asked is None:
            asked = self.ask(**known)
        shared = self._own_names(fixed) if self.origin is self.objective else {}
        task = trial_task(self.objective, self.mapped, tuple(shared))
        lists = {name: getattr(asked, variable) for name, variable in variables(INPUT, self._lists).items()}
        sent = map_task(task, tuple(shared), plan.settings(state["settings"]).concurrency)(
            **{STUDY: asked.study}, **shared, **lists
        )
        # Ids of more than 20 characters are hashed by Flyte, so that the pods of different generations stay apart.
        return self._progress(asked.study, sent.with_overrides(node_name=f"trials-of-generation-{index}"), asked.over)

    def _ask(
        self, index: int, study: Any, reports: Any, over: bool, settings: str, *, shown: bool = True, **fixed: Any
    ) -> Any:
        """Tell the batch before, and ask a batch; once the search is over, nothing."""
        from flyteoptuna.search.batches import driver

        if over:
            return self._asked(study, over, *(collection([]) for _ in self._lists))
        given = plan.settings(settings)
        inputs = self._own_names(fixed) if fixed else {}
        build = builder(self.origin, self.objective, given.space, inputs)
        made = driver.ask(index, study, reports, given, build, self.mapped, shown=shown)
        return self._asked(made.study, made.over, *made.lists.values())

    def _finish(self, study: Reference, reports: Reference, max_failures: int | None, used: str) -> Any:
        """Tell the last batch, and output the study."""
        from flyteoptuna.search.batches import driver

        return self._output(driver.tell(study, reports, max_failures, last=True), used)


def rebuild(role: str, *args: str) -> Any:
    """The entity of a search in a fresh process; the arguments are those that the resolver was given."""
    return Search.rebuilt(role, *args)
