"""Steps of a search on its study: begin, tell and ask a generation, and the reasons to end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import optuna

from flyteoptuna.errors import SearchFailedError
from flyteoptuna.logs import logger
from flyteoptuna.search import plan
from flyteoptuna.search.request import unpickle_strategies
from flyteoptuna.search.trial_inputs import Build, TrialJob, make_jobs
from flyteoptuna.space import space
from flyteoptuna.storage.search_study import SearchStudy
from flyteoptuna.study import ask, samplers, stopping, system_attrs
from flyteoptuna.study.progress import Progress, search_progress
from flyteoptuna.study.serialisable_attributes import AttributeGuard
from flyteoptuna.study.settings import SearchSettings, batch_size_warning, check_direction_count
from flyteoptuna.study.tell import fail_interrupted_trials, tell_trials
from flyteoptuna.trial.report import TrialReport


def begin_search(
    given: SearchStudy | None,
    settings: SearchSettings,
    directions: Sequence[str],
    strategies: str,
    seed: int,
    *,
    batches: bool = True,
    objective: str = "",
    now: float | None = None,
    workers: int = 0,
) -> SearchStudy:
    """Begin a search on a given study, or on a new one.

    Trials that an earlier search left running fail: no pod will report them. Callbacks see them first.

    Args:
        given: study to continue, modified in place; None for a new one.
        settings: settings of the search.
        directions: directions of a new study, one for each value of the objective; empty if unknown.
        strategies: pickled callbacks, sampler and pruner, as ``SearchRequest.strategies``.
        seed: seed of a new study's default sampler.
        batches: trials are asked in generations rather than one by one.
        objective: name and inputs of what it searches over, as ``origin_signature``.
        now: start of the search, seconds since the epoch. Default: the current time.
        workers: maximum number of trials that a local run has at once; 0 on a cluster.

    Raises:
        ValueError: the given study has another number of directions.
        SpaceError: a parameter has another distribution in the study, or the sampler can suggest no trial.
        ImportError: the sampler needs a package that is not installed.
    """
    study = given
    if study is None:
        name = objective.partition("(")[0]
        study = samplers.create_default_study(settings.batch_size, seed, directions or ("minimize",), name)
    if directions:
        check_direction_count("study", study.directions, len(directions))
    unpickled = unpickle_strategies(strategies)
    if given is None:
        study.sampler, study.pruner = unpickled.get("sampler", study.sampler), unpickled.get("pruner", study.pruner)
    samplers.check_sampler_packages(study.sampler)
    inputs = space.space_from_json(settings.space) if settings.space else {}
    ask.check_study_space(study, inputs, with_all_trials=not batches)
    n_suggestions = len([*space.iter_suggestions(inputs)]) or None
    if batches and (warning := samplers.population_warning(study, settings.batch_size, n_suggestions)):
        logger.warning(warning)
    if warning := system_attrs.other_objective_warning(study, objective):
        logger.warning(warning)
    if batches and (warning := batch_size_warning(settings.n_trials, settings.concurrency, settings.batch_size)):
        logger.warning(warning)
    study.stopped = False
    study.callbacks = unpickled.get("callbacks", [])
    n_generations = plan.count_generations(settings.n_trials, settings.batch_size) if batches else 0
    system_attrs.store_search_mark(
        study, settings.n_trials, n_generations, now, concurrency=settings.slots, workers=workers, objective=objective
    )
    if settings.space:
        system_attrs.store_search_space(study, settings.space)
    fail_interrupted_trials(study, study.callbacks)
    return study


def tell_generation(
    study: SearchStudy,
    reports: Iterable[TrialReport],
    max_failures: int | None,
    *,
    last: bool,
    on_progress: Callable[[Progress], None] | None = None,
) -> None:
    """Tell the study the reports of its running trials.

    Args:
        study: the study, modified in place.
        reports: reports of the trials; a running trial without one fails.
        max_failures: maximum number of failed trials; None for no limit.
        last: no generation follows.
        on_progress: called with the progress if a trial was told, and after the last generation.

    Raises:
        SearchFailedError: the search has failed.
    """
    if (tell_trials(study, reports, study.callbacks, trusted=True) or last) and on_progress is not None:
        on_progress(search_progress(study))
    stopping.check_failures(study, last=last, max_failures=max_failures)


def ask_generation(
    study: SearchStudy,
    index: int,
    settings: SearchSettings,
    build: Build,
    mapped: Sequence[str],
    *,
    now: float | None = None,
) -> list[TrialJob] | None:
    """Ask the trials of a generation.

    Returns:
        The trials to run, fewer than were asked if some have failed already; None if the search is over.
    """
    length = plan.batch_length(index, settings.n_trials, settings.batch_size)
    if stopping.stop_or_timeout_reason(study, timeout=settings.timeout, now=now):
        length = 0
    asked: list[ask.AskedTrial] = []
    inputs, attributes = distinct_space(study, settings), AttributeGuard(study)
    while len(asked) < length and not stopping.is_exhausted(study, inputs):
        asked.append(ask.ask_trial(study, index, build, fresh=settings.avoid_duplicates))
    attributes.restore_unserialisable()
    return make_jobs(study, asked, mapped) if asked else None


def run_generations(
    study: SearchStudy,
    settings: SearchSettings,
    build: Build,
    mapped: Sequence[str],
    run: Callable[[list[TrialJob]], list[TrialReport]],
    *,
    clock: Callable[[], float] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> None:
    """Run a search in batches, one generation after another, in this process.

    Args:
        study: the study, modified in place.
        settings: settings of the search.
        build: makes the inputs of a trial by suggesting.
        mapped: names of the objective's inputs that differ from trial to trial.
        run: runs the trials of a batch and returns the reports of those that sent one.
        clock: returns seconds since the epoch. Default: the system's clock.
        on_progress: as in ``tell_generation``.

    Raises:
        SearchFailedError: the search has failed.
    """
    reports: list[TrialReport] = []
    for index in range(plan.count_generations(settings.n_trials, settings.batch_size)):
        tell_generation(study, reports, settings.max_failures, last=False, on_progress=on_progress)
        now = None if clock is None else clock()
        jobs, reports = ask_generation(study, index, settings, build, mapped, now=now), []
        if jobs is None:
            break
        reports = run(jobs)
    tell_generation(study, reports, settings.max_failures, last=True, on_progress=on_progress)


def reason_to_stop_early(study: SearchStudy, settings: SearchSettings, now: float | None = None) -> str:
    """Reason to ask no more trials before the budget is used up; empty if the search goes on."""
    reason = stopping.stop_or_timeout_reason(study, timeout=settings.timeout, now=now)
    if not reason and stopping.is_exhausted(study, distinct_space(study, settings)):
        return "nothing is left to ask"
    return reason


def reason_to_end(study: SearchStudy, settings: SearchSettings, now: float | None = None) -> tuple[str, bool]:
    """Reason to ask no more trials one by one, empty if the search goes on; and whether it has failed."""
    try:
        stopping.check_failures(study, last=False, max_failures=settings.max_failures)
    except SearchFailedError as error:
        return str(error), True
    return reason_to_stop_early(study, settings, now), False


def distinct_space(study: SearchStudy, settings: SearchSettings) -> dict[str, Any] | None:
    """Search space of which each point is asked once; None if points may repeat."""
    distinct = settings.avoid_duplicates or isinstance(study.sampler, optuna.samplers.BruteForceSampler)
    return space.space_from_json(settings.space) if settings.space and distinct else None
