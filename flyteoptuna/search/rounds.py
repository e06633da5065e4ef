"""What every search does with its study, in a pod or in a local run: begin, tell a batch, ask a batch."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Iterable, Sequence

import cloudpickle
import optuna

from flyteoptuna.core import plan, space
from flyteoptuna.core.report import TrialReport
from flyteoptuna.search.inputs import Build
from flyteoptuna.show.log import logger
from flyteoptuna.storage.memory import SearchStudy
from flyteoptuna.study import ask, budgets, marks, sampler
from flyteoptuna.study.progress import Progress, progress
from flyteoptuna.study.tell import tell


def begun(
    given: SearchStudy | None,
    settings: plan.Settings,
    directions: Sequence[str],
    callbacks: str,
    seed: int,
    *,
    batches: bool = True,
) -> SearchStudy:
    """The study that a search starts from: the given one, or a new one.

    Args:
        given: the study to go on with, which is changed.
        settings: the settings of the search.
        directions: directions of a new study, as many as the objective has values; empty where that is not known.
        callbacks: the callbacks of the search, as text; empty for none.
        seed: the seed of a new study's sampler.
        batches: whether trials are asked in generations, rather than one by one.

    Raises:
        ValueError: the given study has another number of directions.
    """
    study = sampler.create(settings.batch, seed, directions or ("minimize",)) if given is None else given
    if directions and len(study.directions) != len(directions):
        raise ValueError(
            f"`study` must have as many directions as the objective has values, but it has {len(study.directions)} "
            f"and the objective returns {len(directions)}."
        )
    inputs = space.loads(settings.space) if settings.space else {}
    if batches and (waste := sampler.wasteful(study, settings.batch, len([*space.suggestions(inputs)]) or None)):
        logger.warning(waste)
    study.stopped = False
    study.callbacks = cloudpickle.loads(base64.b64decode(callbacks)) if callbacks else []
    generations = plan.generations(settings.n_trials, settings.batch) if batches else 0
    marks.begin(study, settings.n_trials, generations)
    return study


def told(
    study: SearchStudy,
    reports: Iterable[TrialReport],
    max_failures: int | None,
    *,
    last: bool,
    show: Callable[[Progress], None],
) -> None:
    """Tell the study the reports of its running trials, and show how far it is.

    Args:
        study: the study, which is changed.
        reports: what the trials of the last batch sent.
        max_failures: most trials that may fail.
        last: whether no batch follows.
        show: called with the progress where there is any.

    Raises:
        SearchFailedError: the search has failed.
    """
    if tell(study, reports, study.callbacks) or last:
        show(progress(study))
    budgets.check_failures(study, last=last, max_failures=max_failures)


def asked(study: SearchStudy, index: int, settings: plan.Settings, build: Build) -> list[ask.Asked]:
    """Ask the trials of a generation; none where the search is over.

    Args:
        study: the study, which is changed.
        index: the generation, counted from 0.
        settings: the settings of the search.
        build: makes the call of the objective for a trial.
    """
    found: list[ask.Asked] = []
    if budgets.over(study, timeout=settings.timeout):
        return found
    points = points_of(study, settings)
    for _ in range(plan.batch(index, settings.n_trials, settings.batch)):
        if budgets.exhausted(study, points):
            break
        found.append(ask.ask(study, index, build, fresh=settings.avoid_duplicates))
    return found


def points_of(study: SearchStudy, settings: plan.Settings) -> float:
    """Number of points of a search's space where none is to be asked twice; infinite where points may be repeated."""
    inputs = space.loads(settings.space) if settings.space else {}
    distinct = settings.avoid_duplicates or isinstance(study.sampler, optuna.samplers.BruteForceSampler)
    return budgets.points(inputs) if inputs and distinct else math.inf
