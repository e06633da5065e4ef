"""Simulation of a search in memory, on a simulated clock, by the code that a real search runs."""

from __future__ import annotations

import asyncio
import copy
import functools
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
from optuna.trial import FrozenTrial

from flyteoptuna.errors import FlyteOptunaError, SearchFailedError
from flyteoptuna.flyte.objective import STUDY, input_types, origin_signature, output_kinds
from flyteoptuna.flyte.references import Reference, msgpack_literal, to_reference
from flyteoptuna.flyte.study_type import serialise_given_study
from flyteoptuna.internals.optuna_internals import trial_record
from flyteoptuna.optimizer import Optimizer
from flyteoptuna.search import generation
from flyteoptuna.search.request import SearchRequest
from flyteoptuna.search.reused.worker_loop import WorkerLoop
from flyteoptuna.search.run_objective import run_function
from flyteoptuna.search.trial_inputs import TrialJob, input_builder
from flyteoptuna.space.annotations import convert_suggested
from flyteoptuna.storage.file_format import dump_study, restore_study
from flyteoptuna.storage.search_study import SearchStudy
from flyteoptuna.study import ask
from flyteoptuna.study.shared.shared_study import Ending, SharedStudy
from flyteoptuna.study.tell import tell_trials
from flyteoptuna.testing.arguments import check_type
from flyteoptuna.testing.slots import SimulatedSlots, TrialRun
from flyteoptuna.trial.call_objective import NUMBER, VALUE, ObjectiveOutputs
from flyteoptuna.trial.current_trial import current_trial
from flyteoptuna.trial.report import TrialReport
from flyteoptuna.values.did_you_mean import names_arguments
from flyteoptuna.values.text import safe_repr
from flyteoptuna.values.tracebacks import public

# Start of a simulated search, seconds since the epoch.
EPOCH = 1_000_000_000.0
# Latest end of a simulated search, seconds from its start: Python's dates end with the year 9999.
END = 2.5e11
# Durations of trials, seconds: one for all, one for each in the order in which they are asked, or a function of a
# trial's number and parameters.
Durations: TypeAlias = float | Sequence[float] | Callable[[int, Mapping[str, Any]], float]


class PodLostError(FlyteOptunaError):
    """Raised by an objective of ``simulate`` to lose its pod: the trial sends no report."""


@dataclass(frozen=True)
class Simulation:
    """A simulated search.

    Attributes:
        study: the study after the search.
        timeline: runs of trials, in the order of their starts.
        slots: maximum number of trials that run at once.
        error: the error that a real search would raise; None if it succeeded.
    """

    study: optuna.Study
    timeline: list[TrialRun]
    slots: int
    error: SearchFailedError | None = None

    @property
    def makespan(self) -> float:
        """Time until the last trial ended, seconds."""
        return max((each.end for each in self.timeline), default=0.0)

    @property
    def busy(self) -> float:
        """Time that all slots together ran trials, seconds."""
        return math.fsum(each.end - each.start for each in self.timeline)

    @property
    def waited(self) -> float:
        """Time that all slots together ran none until the last trial ended, seconds."""
        return max(self.slots * self.makespan - self.busy, 0.0)

    @property
    def utilisation(self) -> float:
        """Share of the slots' time in which they ran trials, from 0 to 1; 1 if no time passed."""
        return min(self.busy / (self.slots * self.makespan), 1.0) if self.makespan else 1.0


@public
@names_arguments
def simulate(
    optimizer: Optimizer,
    inputs: Mapping[str, Any],
    *,
    objective: Callable[..., Any] | None = None,
    durations: Durations = 1.0,
    seed: int = 0,
) -> Simulation:
    """Run a whole search in memory, one trial after another, on a simulated clock.

    The same code as in pods asks, tells and ends the search. The trials of a batch start in order as slots become free,
    and the next batch is asked when all of them have ended. With ``reuse_pods``, a slot asks its next trial when its
    last one has ended. Asking and telling take no time. A pruner sees the trials that were told when a trial was asked.

    Args:
        optimizer: the search. Its settings are values, not promises. Neither it nor its study is changed.
        inputs: inputs of the optimizer's call.
        objective: replaces the objective; called with the same inputs as keywords. It may raise, return invalid values,
            call ``current_trial``, or raise ``PodLostError``. It may return the float values alone; other outputs are
            not stored. Default: the objective's own function.
        durations: durations of trials, at least 0 seconds each: a number, a sequence with one for each asked trial, or
            a function of a trial's number and parameters.
        seed: seed of the default sampler of a new study.

    Raises:
        TypeError: an argument has a wrong type, a setting or an input is a promise, or the optimizer refuses the call.
        ValueError: a duration is negative or too long, or there are too few.
        BaseException: an exception of a callback.
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
    search = _SimulatedSearch(request, objective, durations, seed)
    error = None
    try:
        (search.run_one_by_one if request.reuse_pods else search.run_batches)()
    except SearchFailedError as failure:
        error = failure
    search.set_times()
    return Simulation(search.study, search.timeline, search.settings.concurrency, error)


class _StudyCopy(Reference):
    """The study as a pod reads it: a copy of its present state."""

    def __init__(self, study: SearchStudy) -> None:
        super().__init__(msgpack_literal({}))
        self._study = study

    def read(self, python_type: Any) -> SearchStudy:
        return restore_study(dump_study(self._study))


class _SimulatedSearch:
    """One simulated search."""

    def __init__(
        self, request: SearchRequest, objective: Callable[..., Any] | None, durations: Durations, seed: int
    ) -> None:
        self._request, self._durations = request, durations
        self._task = request.objective
        self._pod_lost = False
        self._output_kinds = output_kinds(self._task)
        values = {name: kind for name, kind in self._output_kinds.items() if kind == VALUE}
        function = self._wrap_objective(self._task.task_function if objective is None else objective)
        outputs = ObjectiveOutputs(values)
        self._run_trial = functools.partial(run_function, function, self._task, outputs=outputs)
        self.settings = request.settings(request.counts)
        types, by_callback = input_types(request.origin), request.origin is not request.objective
        # A callback reads them as in its pod; an objective gets them as they are.
        fixed = {n: to_reference(v, types[n]) for n, v in request.fixed.items()} if by_callback else {}
        self._shared = {n: convert_suggested(request.fixed[n], types[n]) for n in request.shared}
        self._build = input_builder(request.origin, self._task, self.settings.space, fixed)
        self.study = generation.begin_search(
            None if request.study is None else restore_study(serialise_given_study(request.study)),
            self.settings,
            request.directions,
            request.strategies,
            seed,
            batches=not request.reuse_pods,
            objective=origin_signature(request.origin),
            now=EPOCH,
        )
        self._slots = SimulatedSlots(self.settings.slots)
        self.timeline = self._slots.timeline

    def run_batches(self) -> None:
        """Run the search in batches."""
        generation.run_generations(
            self.study,
            self.settings,
            self._build,
            self._request.mapped,
            lambda jobs: [report for report in map(self._run_job, jobs) if report is not None],
            clock=lambda: EPOCH + self._slots.wait(),
        )

    def run_one_by_one(self) -> None:
        """Run the search with one loop for each slot, as with reused pods."""
        trial_ids, endings = iter(range(self.settings.n_trials)), list[Ending]()
        loops, reports = {}, dict[int, TrialReport | None]()
        for slot in range(self.settings.slots):
            study = _StudyInMemory(self.study, slot, trial_ids, endings)
            loop = WorkerLoop(study, self.settings, self._build, self._request.mapped, clock=self._now)
            loops[slot] = loop.steps()
        while self._slots:
            _, slot = self._slots.next
            try:
                job, _ = loops[slot].send(reports.pop(slot)) if slot in reports else next(loops[slot])
            except StopIteration:
                self._slots.close()
            else:
                reports[slot] = self._run_job(job)
        if endings and endings[0].failed:
            raise SearchFailedError(endings[0].why)
        generation.tell_generation(self.study, [], self.settings.max_failures, last=True)

    def _now(self) -> float:
        return EPOCH + self._slots.next[0]

    def _run_job(self, job: TrialJob) -> TrialReport | None:
        """Run a trial in the slot that becomes free first; return its report, None if its pod is lost."""
        number = job.handle.number
        trial_run = self._slots.run(number, self._duration(number, job.handle.params))
        # In a pod of its own, a trial does not see what another has changed.
        shared = {n: copy.deepcopy(v) if isinstance(v, (dict, list)) else v for n, v in self._shared.items()}
        self._pod_lost = False
        inputs = {STUDY: _StudyCopy(self.study), **job.flyte_inputs(), **shared}
        report = self._run_trial(inputs)
        if self._pod_lost:
            return None
        return replace(report, start=EPOCH + trial_run.start, end=EPOCH + trial_run.end)

    def _wrap_objective(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap the objective so that a lost pod is noticed, and only its float values are returned."""

        def call(**inputs: Any) -> Any:
            try:
                return self._float_values(_await_if_awaitable(function(**inputs)))
            except PodLostError:
                self._pod_lost = True
                raise

        return call

    def _float_values(self, result: Any) -> Any:
        """Keep the float values of a result; its ints and bools become user attributes."""
        if not isinstance(result, (tuple, list)) or len(result) != len(self._output_kinds):
            return result
        for item, (name, kind) in zip(result, self._output_kinds.items(), strict=True):
            if kind == NUMBER:
                current_trial().set_user_attr(name, item)
        return [item for item, kind in zip(result, self._output_kinds.values(), strict=True) if kind == VALUE]

    def _duration(self, number: int, params: Mapping[str, Any]) -> float:
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
        if not 0 <= seconds <= END - self._slots.next[0]:
            raise ValueError(
                f"A duration must be 0 or more seconds, and end before the year 9999, but got {safe_repr(seconds)} for "
                f"trial {number}."
            )
        if self._request.open_ended and not seconds:
            raise ValueError(f"Without `n_trials` a duration must be above 0, but got 0 for trial {number}.")
        return float(seconds)

    def set_times(self) -> None:
        """Set the start of all trials that ran, and the end of those that have finished."""
        for trial_run in self.timeline:
            trial = trial_record(self.study, trial_run.number)
            trial.datetime_start = datetime.fromtimestamp(EPOCH + trial_run.start)
            if trial.state.is_finished():
                trial.datetime_complete = datetime.fromtimestamp(EPOCH + trial_run.end)


class _StudyInMemory(SharedStudy):
    """A study in memory, as the loop of one slot sees it.

    Args:
        study: the study.
        slot: the slot.
        trial_ids: the trials that the loops of all slots claim.
        endings: reasons why the loops of all slots have ended the search.
    """

    def __init__(self, study: SearchStudy, slot: int, trial_ids: Iterator[int], endings: list[Ending]) -> None:
        self.study = study
        self._slot, self._trial_ids, self._endings = slot, trial_ids, endings

    @property
    def ending(self) -> Ending:
        return self._endings[0] if self._endings else Ending()

    def end(self, why: str, *, failed: bool = False) -> None:
        self._endings.append(Ending(why, failed))

    def refresh(self) -> None:
        """Read nothing: there is one process."""

    def unfinished_trials(self) -> list[FrozenTrial]:
        return []

    def claim(self) -> int | None:
        return next(self._trial_ids, None)

    def ask(self, trial_id: int, build: Any, jobs: Any, *, fresh: bool = False) -> tuple[int, list[Any]]:
        asked = ask.ask_trial(self.study, None, build, fresh=fresh, worker=str(self._slot))
        return asked.number, jobs(self.study, asked)

    def tell(self, number: int, report: TrialReport | None) -> None:
        tell_trials(self.study, [report], self.study.callbacks, trusted=True, numbers=[number])


def _await_if_awaitable(result: Any) -> Any:
    """Await a result in a thread of its own, because an event loop may run here, as in a notebook."""
    if not inspect.isawaitable(result):
        return result

    async def wait() -> Any:
        return await result

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(copy_context().run, asyncio.run, wait()).result()
