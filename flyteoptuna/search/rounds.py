"""What every search does with its study, in a pod or in a local run: begin, tell a batch, ask a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import optuna

from flyteoptuna.core import plan, space
from flyteoptuna.core.trial.report import TrialReport
from flyteoptuna.search.request import carried
from flyteoptuna.search.trial_inputs import Build
from flyteoptuna.show.log import logger
from flyteoptuna.storage.memory import SearchStudy
from flyteoptuna.study import ask, sampler, stopping, system_attrs
from flyteoptuna.study.progress import Progress, progress
from flyteoptuna.study.tell import interrupted, tell
from flyteoptuna.study.unsavable import Attributes


def begun(
    given: SearchStudy | None,
    settings: plan.Settings,
    directions: Sequence[str],
    callbacks: str,
    seed: int,
    *,
    batches: bool = True,
    now: float | None = None,
    concurrency: int = 0,
) -> SearchStudy:
    """The study that a search starts from: the given one, or a new one.

    Args:
        given: the study to go on with, which is changed.
        settings: the settings of the search.
        directions: directions of a new study, as many as the objective has values; empty where that is not known.
        callbacks: the callbacks of the search, as text; empty for none.
        seed: the seed of a new study's sampler.
        batches: whether trials are asked in generations, rather than one by one.
        now: seconds since the epoch; the present by default.
        concurrency: trials that can run at once; 0 where that turns out as they run, as in a local run.

    The trials that an earlier search has left running have failed, for nobody will tell them; they are the callbacks'
    first.

    Raises:
        ValueError: the given study has another number of directions.
        SpaceError: it has a parameter of the same name with another kind of distribution, or other choices; or its
            sampler can suggest no trial of the space.
        ImportError: its sampler needs a package that is not installed.
    """
    study = sampler.create(settings.batch, seed, directions or ("minimize",)) if given is None else given
    if directions and len(study.directions) != len(directions):
        raise ValueError(
            f"`study` must have as many directions as the objective has values, but it has {len(study.directions)} "
            f"and the objective returns {len(directions)}."
        )
    brought = carried(callbacks)
    if given is None:
        study.sampler, study.pruner = brought.get("sampler", study.sampler), brought.get("pruner", study.pruner)
    sampler.check_runs(study.sampler)
    inputs = space.loads(settings.space) if settings.space else {}
    ask.check_space(study, inputs, as_database=not batches)
    if batches and (waste := sampler.wasteful(study, settings.batch, len([*space.suggestions(inputs)]) or None)):
        logger.warning(waste)
    study.stopped = False
    study.callbacks = brought.get("callbacks", [])
    generations = plan.generations(settings.n_trials, settings.batch) if batches else 0
    system_attrs.begin(study, settings.n_trials, generations, now, concurrency)
    interrupted(study, study.callbacks)
    return study


def told(
    study: SearchStudy,
    reports: Iterable[TrialReport],
    max_failures: int | None,
    *,
    last: bool,
    show: Callable[[Progress], None] | None,
) -> None:
    """Tell the study the reports of its running trials, and show how far it is.

    Args:
        study: the study, which is changed.
        reports: what the trials of the last batch sent.
        max_failures: most trials that may fail.
        last: whether no batch follows.
        show: called with the progress where there is any; None to show it to nobody.

    Raises:
        SearchFailedError: the search has failed.
    """
    if (tell(study, reports, study.callbacks, trusted=True) or last) and show is not None:
        show(progress(study))
    stopping.check_failures(study, last=last, max_failures=max_failures)


def asked(
    study: SearchStudy, index: int, settings: plan.Settings, build: Build, *, now: float | None = None
) -> list[ask.Asked]:
    """Ask the trials of a generation; none where the search is over.

    Args:
        study: the study, which is changed.
        index: the generation, counted from 0.
        settings: the settings of the search.
        build: makes the call of the objective for a trial.
        now: seconds since the epoch; the present by default.
    """
    found: list[ask.Asked] = []
    inputs = asked_once(study, settings)
    over = stopping.over(study, timeout=settings.timeout, now=now)
    attributes = Attributes(study)
    for _ in range(0 if over else plan.batch(index, settings.n_trials, settings.batch)):
        if stopping.exhausted(study, inputs):
            break
        found.append(ask.ask(study, index, build, fresh=settings.avoid_duplicates))
    attributes.check()
    return found


def why_over(study: SearchStudy, settings: plan.Settings, now: float | None = None) -> str:
    """Why a search asks no more before all its trials have run; empty where it goes on.

    Args:
        study: the study.
        settings: the settings of the search.
        now: seconds since the epoch; the present by default.
    """
    why = stopping.over(study, timeout=settings.timeout, now=now)
    nothing = not why and stopping.exhausted(study, asked_once(study, settings))
    return "nothing is left to ask" if nothing else why


def ended(study: SearchStudy, settings: plan.Settings, now: float | None = None) -> tuple[str, bool]:
    """Why a search that asks one trial at a time asks no more, empty where it goes on; and whether it has failed.

    Args:
        study: the study.
        settings: the settings of the search.
        now: seconds since the epoch; the present by default.
    """
    try:
        stopping.check_failures(study, last=False, max_failures=settings.max_failures)
    except stopping.SearchFailedError as error:
        return str(error), True
    return why_over(study, settings, now), False


def asked_once(study: SearchStudy, settings: plan.Settings) -> dict[str, Any] | None:
    """The inputs of a search with their suggestions, where each point is to be asked once; None where it need not."""
    distinct = settings.avoid_duplicates or isinstance(study.sampler, optuna.samplers.BruteForceSampler)
    return space.loads(settings.space) if settings.space and distinct else None
