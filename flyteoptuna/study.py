"""The study of a search: ask a batch, tell reports, decide whether to go on."""

from __future__ import annotations

import copy
import json
import math
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol, TypeVar, cast

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from flyteoptuna import results, space, study_rows
from flyteoptuna.study_file import SearchStudy, StudyFormatError, dumps, loads, new_study
from flyteoptuna.trial import ERROR_ATTRIBUTE, InputsNotMade, TrialReport, match, raised

__all__ = [
    "ERROR_ATTRIBUTE",
    "SearchFailedError",
    "SearchStudy",
    "StudyFormatError",
    "ask",
    "begin",
    "create",
    "dumps",
    "loads",
    "tell",
]

T = TypeVar("T")

_FINISHED = tuple(state for state in TrialState if state.is_finished())
TRIAL_ATTRIBUTE = "flyteoptuna:trial"
"""The system attribute of a trial of a search: the search it belongs to, its generation, its key, its early outcome."""
SEARCH_ATTRIBUTE = "flyteoptuna:search"
"""The system attribute of a study that tells its latest search: its count, its first trial, its start."""
MIN_TRIALS_TO_GIVE_UP = 10
"""A search whose first trials all failed ends once there are this many of them."""
UNIVARIATE_FROM = 20
"""Batches from this size on are better served by univariate TPE: median best values of 10 seeds on Branin, Hartmann6
and Rastrigin at batches of 1, 10 and 50."""
REASKS = 50
"""Most times that a trial is asked to get a new point. From half of them on, points are drawn at random."""


class SearchFailedError(RuntimeError):
    """A search that ended because of its failures, or in which nothing completed; quotes the first cause."""


class Draws(Protocol):
    """What draws parameters: an ``optuna.Trial``."""

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None, log: bool) -> float: ...
    def suggest_int(self, name: str, low: int, high: int, *, step: int, log: bool) -> int: ...
    def suggest_categorical(self, name: str, choices: Sequence[space.Choice]) -> space.Choice: ...


class Asked(NamedTuple):
    """A trial that was asked: its number, its parameters and the inputs made of them."""

    number: int
    params: dict[str, Any]
    inputs: Any


def create(batch: int, seed: int, directions: Sequence[str] = ("minimize",)) -> SearchStudy:
    """A study with this library's default sampler.

    TPE with a constant liar, so that the trials of a batch keep apart; multivariate, as in optuna 5, for batches
    below ``UNIVARIATE_FROM``, and univariate from there on, where it finds better values.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True, multivariate=batch < UNIVARIATE_FROM)
    return new_study([StudyDirection[d.upper()] for d in directions], sampler, optuna.pruners.NopPruner())


def draw(trial: Draws, name: str, suggestion: space.Suggestion) -> Any:
    """The value that a trial suggests for one suggestion."""
    if isinstance(suggestion, space.Float):
        # Some samplers of optuna 4.4 draw numpy's floats, which Flyte does not take.
        drawn = trial.suggest_float(name, suggestion.low, suggestion.high, step=suggestion.step, log=suggestion.log)
        return float(drawn)
    if isinstance(suggestion, space.Integer):
        return trial.suggest_int(name, suggestion.low, suggestion.high, step=suggestion.step, log=suggestion.log)
    return trial.suggest_categorical(name, suggestion.choices)


# Optuna has no public way to set attributes of a study or a trial that the samplers are not to see as the user's,
# nor to give a trial its true times. The functions below are the only place that touches its storage.


def _study_attr(study: optuna.Study, key: str) -> Any:
    return study._storage.get_study_system_attrs(study._study_id).get(key)


def _set_study_attr(study: optuna.Study, key: str, value: Any) -> None:
    study._storage.set_study_system_attr(study._study_id, key, value)


def _set_trial_attr(study: optuna.Study, trial: FrozenTrial, key: str, value: Any) -> None:
    study._storage.set_trial_system_attr(trial._trial_id, key, value)


def _record(study: optuna.Study, number: int) -> FrozenTrial:
    # An in-memory storage hands out its own record, which takes what `tell` and `ask` would not set.
    return study._storage.get_trial(study._storage.get_trial_id_from_study_id_trial_number(study._study_id, number))


def _asked_again(study: optuna.Study, number: int) -> optuna.Trial:
    record = _record(study, number)
    record.params, record.distributions = {}, {}
    return optuna.Trial(study, record._trial_id)


def begin(study: optuna.Study, n_trials: int = 0, generations: int = 0, now: float | None = None) -> None:
    """Begin a search on a study: its budgets count from here, and earlier trials are not its own.

    Args:
        study: the study.
        n_trials: trials of the search, for those who look at its progress.
        generations: generations of the search, likewise.
        now: the start of the search in seconds since the epoch; the present by default.
    """
    before = _study_attr(study, SEARCH_ATTRIBUTE) or {"count": 0}
    search = {"count": before["count"] + 1, "n_trials": n_trials, "generations": generations}
    _set_study_attr(study, SEARCH_ATTRIBUTE, {**search, "start": time.time() if now is None else now})


class Progress(NamedTuple):
    """How far the latest search of a study is."""

    generation: int
    generations: int
    finished: int
    n_trials: int
    failed: int
    first: int
    best: str

    def __str__(self) -> str:
        counts = f"{self.finished}/{self.n_trials} trials, {self.failed} failed"
        return f"generation {self.generation}/{self.generations}: {counts}, {self.best}"


def progress(study: optuna.Study) -> Progress:
    """How far the latest search of a study is; generations count from 1 here, and the ones that were told count."""
    search = _study_attr(study, SEARCH_ATTRIBUTE)
    trials = own(study)
    marks = [t.system_attrs[TRIAL_ATTRIBUTE] for t in trials if t.state in _FINISHED]
    failed = [t.state for t in trials].count(TrialState.FAIL)
    generation = 1 + max([mark["generation"] for mark in marks], default=-1)
    first = trials[0].number if trials else len(study.get_trials(deepcopy=False))
    return Progress(generation, search["generations"], len(marks), search["n_trials"], failed, first, _best(study))


def _best(study: optuna.Study) -> str:
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if not complete:
        return "none complete"
    if len(study.directions) > 1:
        return f"{len(study.best_trials)} on the Pareto front"
    best = results.best(study)
    if best is None:
        return "none feasible"
    return f"best {best.value:.6g} (trial {best.number})"


def started(study: optuna.Study) -> float:
    """Start of the study's latest search, in seconds since the epoch."""
    return float(_study_attr(study, SEARCH_ATTRIBUTE)["start"])


def own(study: optuna.Study, *states: TrialState) -> list[FrozenTrial]:
    """The trials that the latest search has asked, in their order; those of the given states, or all."""
    count, none = _study_attr(study, SEARCH_ATTRIBUTE)["count"], dict[str, Any]()
    trials = study.get_trials(deepcopy=False, states=states or None)
    return [t for t in trials if t.system_attrs.get(TRIAL_ATTRIBUTE, none).get("search") == count]


def generation_of(trial: FrozenTrial) -> int | None:
    """The generation in which a search asked a trial, counted from 0; None for a trial of no search."""
    return cast("int | None", trial.system_attrs.get(TRIAL_ATTRIBUTE, {}).get("generation"))


def ask(study: optuna.Study, generation: int, build: Callable[[optuna.Trial], T], *, fresh: bool = False) -> Asked:
    """Ask one trial, and let ``build`` make its inputs by suggesting.

    Where ``build`` raises ``InputsNotMade``, the trial is to FAIL with that reason, or to be PRUNED, once its batch is
    told; its inputs are None.

    Args:
        study: the study, in which a search has begun.
        generation: the generation that asks, counted from 0.
        build: makes the inputs of the objective.
        fresh: ask again, ``REASKS`` times in all, where the point is one of an earlier trial.

    Raises:
        TypeError: ``build`` left an attribute or a choice that cannot be saved.
    """
    trial = study.ask()
    mark: dict[str, Any] = {"search": _study_attr(study, SEARCH_ATTRIBUTE)["count"], "generation": generation}
    # A point that was enqueued is the user's wish, even a second time.
    fresh = fresh and "fixed_params" not in _record(study, trial.number).system_attrs
    known = {_point(t) for t in study.get_trials(deepcopy=False) if t.number != trial.number} if fresh else set()
    sampler, inputs = study.sampler, None
    try:
        for again in range(1, REASKS + 1):
            inputs = build(trial)
            if again == REASKS or _point(_record(study, trial.number)) not in known:
                break
            if again >= REASKS // 2:
                study.sampler = optuna.samplers.RandomSampler(seed=trial.number * REASKS + again)
            trial = _asked_again(study, trial.number)
    except InputsNotMade as error:
        mark["state"], mark["error"] = raised(error.__cause__ or error)
        inputs = None
    finally:
        study.sampler = sampler
    record = _record(study, trial.number)
    _set_trial_attr(study, record, TRIAL_ATTRIBUTE, mark)
    # A local run saves the study when all trials have run.
    study_rows.check(_record(study, trial.number))
    return Asked(trial.number, dict(record.params), inputs)


def _point(trial: FrozenTrial) -> tuple[tuple[str, str], ...] | None:
    return tuple(sorted((k, repr(v)) for k, v in trial.params.items())) or None


def note_key(study: optuna.Study, number: int, digest: str) -> None:
    """Note the digest of a trial's inputs, by which a report is known to be the trial's."""
    record = _record(study, number)
    _set_trial_attr(study, record, TRIAL_ATTRIBUTE, {**record.system_attrs[TRIAL_ATTRIBUTE], "key": digest})


def _expected(running: Sequence[FrozenTrial]) -> list[tuple[int, str]]:
    marks = [(t.number, t.system_attrs[TRIAL_ATTRIBUTE]) for t in running]
    return [(number, mark.get("key", "")) for number, mark in marks if "state" not in mark]


def unheard(study: optuna.Study, reports: Iterable[TrialReport | None]) -> list[int]:
    """Numbers of the running trials that none of the reports belongs to."""
    expected = _expected(own(study, TrialState.RUNNING))
    matched = match(reports, expected)
    return [number for number, _ in expected if number not in matched]


def tell(
    study: optuna.Study, reports: Iterable[TrialReport | None], callbacks: Sequence[Callable[..., None]] = ()
) -> int:
    """Tell every running trial of the search, in trial order, whatever its report says; without one it has failed.

    Returns:
        The number of trials told.

    Raises:
        TypeError: a callback left an attribute of the study that cannot be saved.
    """
    trials = own(study, TrialState.RUNNING)
    matched = match(reports, _expected(trials))
    rest = iter([(trial, matched.get(trial.number) or _without_report(trial)) for trial in trials])
    try:
        for trial, report in rest:
            _tell_one(study, trial, report)
            _call(callbacks, study, trial.number)
    finally:
        # A callback that raises ends the search, but what has run is told.
        for trial, report in rest:
            _tell_one(study, trial, report)
    return len(trials)


def _without_report(trial: FrozenTrial) -> TrialReport:
    mark = trial.system_attrs[TRIAL_ATTRIBUTE]
    lost = (
        f"Trial {trial.number} (generation {mark['generation']}) sent no report: its pod died, or its output was "
        "lost. Flyte keeps the pod's log and error with that element of the map."
    )
    return TrialReport(trial.number, state=mark.get("state", "FAIL"), error=mark.get("error", lost))


def _call(callbacks: Sequence[Callable[..., None]], study: optuna.Study, number: int) -> None:
    if not callbacks:
        return
    frozen = copy.deepcopy(_record(study, number))
    for callback in callbacks:
        callback(study, frozen)
    attrs = {"user_attrs": study._storage.get_study_user_attrs(study._study_id)}
    # A local run keeps the study in memory, where a pod reads from a file what JSON has made of it.
    for key, value in json.loads(study_rows.encoded("", attrs))["user_attrs"].items():
        study.set_user_attr(key, value)


def _tell_one(study: optuna.Study, trial: FrozenTrial, report: TrialReport) -> None:
    # Constraint functions run when a trial is told, and look at its attributes.
    live = study._storage
    for name, value in json.loads(report.user_attrs).items():
        live.set_trial_user_attr(trial._trial_id, name, value)
    for name, value in json.loads(report.system_attrs).items():
        live.set_trial_system_attr(trial._trial_id, name, value)
    for step, value in zip(report.steps, report.intermediate, strict=True):
        live.set_trial_intermediate_value(trial._trial_id, step, value)
    if report.error:
        live.set_trial_user_attr(trial._trial_id, ERROR_ATTRIBUTE, report.error)
    values = report.values if report.state == "COMPLETE" else None
    if values is not None and (len(values) != len(study.directions) or any(map(math.isnan, values))):
        live.set_trial_user_attr(
            trial._trial_id,
            ERROR_ATTRIBUTE,
            f"The study has {len(study.directions)} direction(s), but the objective returned {values}.",
        )
        values, report.state = None, "FAIL"
    study.tell(trial.number, values, state=TrialState[report.state])
    if report.start:
        # `tell` stamps the end as now.
        told = _record(study, trial.number)
        told.datetime_start = datetime.fromtimestamp(report.start)
        told.datetime_complete = datetime.fromtimestamp(report.end)


def wasteful(study: optuna.Study, batch: int, dimensions: int | None) -> str:
    """What is wrong with a sampler that learns from populations smaller than the batch; empty where nothing is.

    Args:
        study: the study.
        batch: trials of a generation.
        dimensions: number of suggestions; None where it is not known.
    """
    sampler = study.sampler
    # Neither sampler tells its population in public.
    size = getattr(sampler, "_popsize", None) or getattr(sampler, "_population_size", None)
    if size is None and isinstance(sampler, optuna.samplers.CmaEsSampler) and dimensions:
        size = 4 + math.floor(3 * math.log(dimensions))
    if size is None or size >= batch:
        return ""
    return (
        f"{type(sampler).__name__} learns from populations of {size} trials, and batches of {batch} waste what exceeds "
        f"them: set its population to {batch} or more, or choose a smaller batch."
    )


def over(study: SearchStudy, *, timeout: float | None = None, now: float | None = None) -> str:
    """Why a search is to ask no further batch; empty where it is to go on."""
    if study.stopped:
        return "stopped"
    passed = (time.time() if now is None else now) - started(study)
    if timeout is not None and passed >= timeout:
        return f"timeout of {timeout:g} s"
    return ""


def exhausted(study: optuna.Study, points: float = math.inf) -> bool:
    """Whether there is nothing left to ask: no point of a grid, none of a space that ``points`` tells the size of."""
    sampler = study.sampler
    if isinstance(sampler, optuna.samplers.GridSampler):
        # Private, because the public `is_exhausted` takes the points that run for open ones.
        attrs = [t.system_attrs for t in study.get_trials(deepcopy=False)]
        return len({a["grid_id"] for a in attrs if "grid_id" in a}) >= len(sampler._all_grids)
    if points == math.inf:
        return False
    return len({p for t in study.get_trials(deepcopy=False) if (p := _point(t)) is not None}) >= points


def check(study: optuna.Study, *, last: bool, max_failures: int | None = None) -> None:
    """Raise where a search has failed.

    Args:
        study: the study.
        last: whether no further trial is asked.
        max_failures: most trials of the search that may fail.

    Raises:
        SearchFailedError: more trials failed than allowed; or the first ten or more did, and none did not; or it is
            the last call and no trial completed. Quotes the first causes.
    """
    failed = own(study, TrialState.FAIL)
    if not failed and not last:
        return
    finished = own(study, *_FINISHED)
    completed = any(t.state == TrialState.COMPLETE for t in (finished or study.get_trials(deepcopy=False)))
    if max_failures is not None and len(failed) > max_failures:
        what = f"`max_failures={max_failures}` was exceeded: {len(failed)} of {len(finished)} trials failed."
    elif len(failed) == len(finished) >= MIN_TRIALS_TO_GIVE_UP:
        what = f"All of the first {len(finished)} trials failed."
    elif last and not finished and not completed:
        what = "No trial was asked: its study was stopped, its sampler was exhausted, or the timeout had passed."
    elif last and not completed:
        what = f"No trial completed: of {len(finished)}, {len(failed)} failed and the others were pruned."
    else:
        return
    raise SearchFailedError("\n".join([what, *_causes(failed)]))


def _causes(failed: Sequence[FrozenTrial], most: int = 3) -> Iterator[str]:
    seen: set[str] = set()
    for trial in failed:
        cause = str(trial.user_attrs.get(ERROR_ATTRIBUTE, "no reason is known"))
        head = cause.splitlines()[0] if cause else ""
        if head not in seen and len(seen) < most:
            # The first cause is quoted whole, for it is the likeliest to be the cause of the others.
            yield f"Trial {trial.number}: {cause if not seen else head}"
            seen.add(head)


def points(inputs: Mapping[str, Any]) -> float:
    """Number of different points of a space; infinite where one suggestion is continuous."""
    return math.prod(space.size(suggestion) for _, suggestion in space.suggestions(inputs))
