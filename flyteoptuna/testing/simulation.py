"""`simulate`: a whole search in memory, in no time, by the code that a real one runs."""

from __future__ import annotations

import asyncio
import copy
import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, replace
from datetime import datetime
from numbers import Real
from typing import Any, TypeAlias

import optuna
from flytekit.core.promise import Promise
from flytekit.core.python_function_task import AsyncPythonFunctionTask

from flyteoptuna.core import plan
from flyteoptuna.core.annotations import fitted
from flyteoptuna.core.trial.call_objective import NUMBER, VALUE, Returns
from flyteoptuna.core.trial.current_trial import current_trial
from flyteoptuna.core.trial.report import TrialReport
from flyteoptuna.flyte.objective import STUDY, input_types, output_kinds
from flyteoptuna.flyte.references import Reference, packed, refer
from flyteoptuna.optimizer import Optimizer
from flyteoptuna.search import rounds
from flyteoptuna.search.request import Request
from flyteoptuna.search.trial_inputs import builder, jobs_of
from flyteoptuna.search.trial_task import reporting
from flyteoptuna.storage import file
from flyteoptuna.storage.memory import SearchStudy
from flyteoptuna.study import ask, system_attrs
from flyteoptuna.study.stopping import SearchFailedError
from flyteoptuna.study.tell import tell
from flyteoptuna.testing.arguments import check_type
from flyteoptuna.testing.slots import Ran, Slots

EPOCH = 1_000_000_000.0
"""When a simulated search begins, in seconds since the epoch."""

Durations: TypeAlias = float | Sequence[float] | Callable[[int, Mapping[str, Any]], float]
"""Seconds of a trial: for all, one by one in the order in which they are asked, or of its number and its parameters."""


class PodLostError(Exception):
    """Raised by an objective of :func:`simulate` whose pod dies: its trial never reports."""


@dataclass(frozen=True)
class Simulation:
    """A search that was simulated.

    Attributes:
        study: the study at its end.
        timeline: which trial ran when, and in which slot, in the order in which they started.
        slots: trials that run at once.
        error: why the search failed, which a real one raises; None where it did not.
    """

    study: optuna.Study
    timeline: list[Ran]
    slots: int
    error: SearchFailedError | None = None

    @property
    def makespan(self) -> float:
        """Seconds until the last trial had ended."""
        return max((ran.end for ran in self.timeline), default=0.0)

    @property
    def busy(self) -> float:
        """Seconds of all slots together in which they ran trials."""
        return math.fsum(ran.end - ran.start for ran in self.timeline)

    @property
    def waited(self) -> float:
        """Seconds of all slots together in which they ran none, until the last trial had ended."""
        return max(self.slots * self.makespan - self.busy, 0.0)

    @property
    def utilisation(self) -> float:
        """Share of the slots' time in which they ran trials, from 0 to 1; 1 where no time has passed."""
        return min(self.busy / (self.slots * self.makespan), 1.0) if self.makespan else 1.0


def simulate(
    optimizer: Optimizer,
    inputs: Mapping[str, Any],
    *,
    objective: Callable[..., Any] | None = None,
    durations: Durations = 1.0,
    seed: int = 0,
) -> Simulation:
    """Run a whole search in memory, one trial after another, on a clock that is simulated.

    It asks, plans, tells, and ends by its budgets as the search in pods does, by the same code. Trials of a batch start
    in their order as slots are free, and the next batch is asked when the last of them has ended; with ``reuse_pods``
    a slot asks its next trial as soon as its last one has ended. Asking and telling take no time.

    A pruner sees the trials that had been told when a trial was asked.

    Args:
        optimizer: the search; its settings are values and no promises. It is not changed, nor is its study.
        inputs: what it is called with.
        objective: stands for the objective, and is called with the same inputs by keyword. It may raise, return what is
            no value, ask for :func:`flyteoptuna.current_trial`, and raise :class:`PodLostError`, whereupon its trial
            never reports. Of an objective that returns more than values it may return these alone; files, frames and
            the like are not kept. Default: the function of the objective itself.
        durations: seconds that trials take, each at least 0: a number, as many of them as trials are asked, or a
            function of a trial's number and parameters.
        seed: seed of the sampler that a new study has by default.

    Raises:
        TypeError: an argument is of a wrong type, a setting or an input is a promise, or anything that the optimizer
            refuses.
        ValueError: a duration is negative or not finite, or there are too few of them.
        BaseException: what a callback has raised.
    """
    check_type("optimizer", optimizer, Optimizer, "an Optimizer")
    check_type("inputs", inputs, Mapping, "a dictionary")
    check_type("objective", objective, (Callable, type(None)), "a function")
    check_type("seed", seed, int, "an int")
    request = optimizer._request((), inputs, local=True)
    given = {**request.counts, **request.fixed, "study": request.study}
    for name, value in given.items():
        if isinstance(value, Promise):
            raise TypeError(f"A simulation needs values, but `{name}` is a promise.")
    search = _Search(request, objective, durations, seed, endless=optimizer.n_trials is None)
    error = None
    try:
        (search.reused if request.reuse_pods else search.batches)()
    except SearchFailedError as failed:
        error = failed
    search.date()
    # As whoever reads its file gets it.
    study = file.loads(file.dumps(search.study))
    return Simulation(study, search.timeline, search.settings.concurrency, error)


class _Study(Reference):
    """The study as a pod reads it: a copy of what it is now."""

    def __init__(self, study: SearchStudy) -> None:
        super().__init__(packed({}))
        self._study = study

    def read(self, python_type: Any) -> SearchStudy:
        return file.loads(file.dumps(self._study))


class _Search:
    """One search that is simulated."""

    def __init__(
        self, request: Request, objective: Callable[..., Any] | None, durations: Durations, seed: int, *, endless: bool
    ) -> None:
        self._task, self._origin = request.objective, request.origin
        self._mapped, self._lost = request.mapped, False
        function = self._task.task_function if objective is None else objective
        self._kinds = output_kinds(self._task)
        values = {name: kind for name, kind in self._kinds.items() if kind == VALUE}
        self._trial = reporting(self._call(function), self._task, again=False, returns=Returns(values))
        self._durations, self._endless = durations, endless
        counts = dict(request.counts)
        self.settings = plan.Settings(batch=counts.pop("batch_size"), space=request.space(), **counts)
        types = input_types(self._origin)
        # To a callback they go as in its pod; an objective gets them as they are.
        fixed = {} if self._space else {n: refer(v, types[n]) for n, v in request.fixed.items()}
        self._shared = {n: fitted(v, types[n]) for n, v in request.fixed.items()} if self._space else {}
        self._build = builder(self._origin, self._task, self.settings.space, fixed)
        study = None if request.study is None else file.loads(file.dumps(request.study))
        self.study = rounds.begun(
            study,
            self.settings,
            request.directions,
            request.pickled,
            seed,
            batches=not request.reuse_pods,
            now=EPOCH,
        )
        self._slots = Slots(self.settings.concurrency)
        self.timeline = self._slots.timeline

    @property
    def _space(self) -> bool:
        return self._origin is self._task

    def batches(self) -> None:
        """Run it batch by batch."""
        study, settings = self.study, self.settings
        reports: list[TrialReport] = []
        for index in range(plan.generations(settings.n_trials, settings.batch)):
            rounds.told(study, reports, settings.max_failures, last=False, show=None)
            now = EPOCH + self._slots.wait()
            asked, reports = rounds.asked(study, index, settings, self._build, now=now), []
            if not asked:
                break
            reports = [*self._run(asked)]
        rounds.told(study, reports, settings.max_failures, last=True, show=None)

    def reused(self) -> None:
        """Run it with slots that ask by themselves."""
        running: dict[int, tuple[int, list[TrialReport]]] = {}
        asked, why, failed = 0, "", False
        while self._slots:
            now, slot = self._slots.next
            if slot in running:
                number, reports = running.pop(slot)
                tell(self.study, reports, self.study.callbacks, trusted=True, numbers=[number])
            if not why:
                why, failed = rounds.ended(self.study, self.settings, EPOCH + now)
            if why or asked >= self.settings.n_trials:
                self._slots.close()
                continue
            fresh = self.settings.avoid_duplicates
            trial = ask.ask(self.study, None, self._build, fresh=fresh, noted={"worker": str(slot)})
            asked += 1
            running[slot] = trial.number, [*self._run([trial])]
        if failed:
            raise SearchFailedError(why)
        rounds.told(self.study, [], self.settings.max_failures, last=True, show=None)

    def _run(self, asked: Sequence[ask.Asked]) -> Iterator[TrialReport]:
        """Run trials, and yield the reports of those that send one."""
        for job in jobs_of(self.study, asked, self._mapped):
            number = job.handle["number"]
            ran = self._slots.run(number, self._seconds(number, job.handle["params"]))
            # In a pod of its own, no trial sees what another has changed.
            shared = {n: copy.deepcopy(v) if isinstance(v, (dict, list)) else v for n, v in self._shared.items()}
            given = {STUDY: _Study(self.study), **job.inputs, **shared}
            self._lost = False
            report = _awaited(self._trial(**given))
            if not self._lost:
                yield replace(report, start=EPOCH + ran.start, end=EPOCH + ran.end)

    def _call(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """What is called for the objective: the function, which notes where a pod is lost."""

        def called(**inputs: Any) -> Any:
            try:
                return self._values(_awaited(function(**inputs)))
            except PodLostError:
                self._lost = True
                raise

        async def awaited(**inputs: Any) -> Any:
            try:
                made = function(**inputs)
                return self._values(await made if inspect.isawaitable(made) else made)
            except PodLostError:
                self._lost = True
                raise

        return awaited if isinstance(self._task, AsyncPythonFunctionTask) else called

    def _values(self, result: Any) -> Any:
        """The values of all that an objective returns: its numbers become attributes, and nothing else is kept."""
        if not isinstance(result, (tuple, list)) or len(result) != len(self._kinds):
            return result
        for item, (name, kind) in zip(result, self._kinds.items(), strict=True):
            if kind == NUMBER:
                current_trial().set_user_attr(name, item)
        return [item for item, kind in zip(result, self._kinds.values(), strict=True) if kind == VALUE]

    def _seconds(self, number: int, params: Mapping[str, Any]) -> float:
        position, durations = len(self.timeline), self._durations
        if callable(durations):
            seconds = durations(number, params)
        elif isinstance(durations, Sequence):
            if position >= len(durations):
                raise ValueError(f"`durations` must be as many as trials are run, but there are {len(durations)}.")
            seconds = durations[position]
        else:
            seconds = durations
        check_type("durations", seconds, Real, "seconds, those of each trial, or a function that returns them")
        if not 0 <= seconds < math.inf:
            raise ValueError(f"A duration must be 0 or more seconds, but got {seconds!r} for trial {number}.")
        if self._endless and not seconds:
            raise ValueError(f"Without `n_trials` a duration must be above 0, but got 0 for trial {number}.")
        return float(seconds)

    def date(self) -> None:
        """Give all trials that were run the times of the clock, those as well that have sent no report."""
        for ran in self.timeline:
            record = system_attrs.record_of(self.study, ran.number)
            record.datetime_start = datetime.fromtimestamp(EPOCH + ran.start)
            if record.state.is_finished():
                record.datetime_complete = datetime.fromtimestamp(EPOCH + ran.end)


def _awaited(made: Any) -> Any:
    """What a call has made, once it has been awaited; also where a loop runs here already, as in a notebook."""
    if not inspect.iscoroutine(made):
        return made
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(copy_context().run, asyncio.run, made).result()
