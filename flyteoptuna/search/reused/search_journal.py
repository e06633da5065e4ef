"""The journal of a search with reused pods: begun, opened for a worker, made into the study of the search."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optuna
from flytekit.core.context_manager import FlyteContextManager

from flyteoptuna.core import plan
from flyteoptuna.flyte.references import Reference
from flyteoptuna.flyte.study_type import HeldStudy
from flyteoptuna.journal.backend import JournalObjectBackend
from flyteoptuna.search import rounds
from flyteoptuna.search.batches import driver
from flyteoptuna.search.reused.worker import Worker
from flyteoptuna.search.trial_inputs import Build
from flyteoptuna.storage.memory import SearchStudy
from flyteoptuna.study.shared.shared_study import SharedStudy
from flyteoptuna.study.shared.study_of_journal import collected, publish
from flyteoptuna.study.system_attrs import FINISHED, own


def backend(url: str, worker: str = "") -> JournalObjectBackend:
    """The journal in a folder of Flyte's raw-data bucket, with the credentials that Flyte has for it."""
    files = FlyteContextManager.current_context().file_access.get_filesystem_for_path(url)
    return JournalObjectBackend(url, fs=files, name=worker)


def begin(
    given: Reference | None, settings: plan.Settings, directions: Sequence[str], callbacks: str
) -> tuple[HeldStudy, str]:
    """The study that a search starts from, and the folder of the journal that begins with it."""
    study = None if given is None else given.read(optuna.Study | None)
    begun = rounds.begun(
        study, settings, directions, callbacks, driver.seed(), batches=False, concurrency=settings.slots
    )
    url = FlyteContextManager.current_context().file_access.get_random_remote_directory()
    journal = backend(url)
    journal.check()
    publish(begun, journal)
    return HeldStudy(begun), url


def worker(
    name: str,
    study: Reference,
    journal: str,
    settings: plan.Settings,
    objective: Any,
    build: Build,
    mapped: tuple[str, ...],
    fixed: Mapping[str, Reference],
    hung: Callable[[], None] | None,
) -> Worker:
    """A worker of a search; see :class:`Worker`."""
    base: SearchStudy = study.read(optuna.Study)
    shared = SharedStudy(backend(journal, name), base, name, settings.n_trials)
    if settings.slots > 1 or shared.claims:
        # Each worker suggests by itself, and must suggest neither what the others do, nor what it has before it died.
        base.sampler.reseed_rng()
    return Worker(shared, settings, objective, build, mapped, fixed, hung)


def finish(study: Reference, journal: str, settings: plan.Settings, *, shown: bool = True) -> SearchStudy:
    """The study of a search whose workers have ended, with what they left running told.

    Args:
        study: the study that the search began from.
        journal: the folder of the journal.
        settings: the settings of the search.
        shown: whether this pod's deck shows the study.

    Raises:
        SearchFailedError: the search has failed; names the file that holds the study with all that is known.
    """
    found, ending = collected(backend(journal), study.read(optuna.Study), settings.n_trials)
    failed = ending.why if ending.failed else ""
    if not ending.why:
        ended = len(own(found, *FINISHED))
        failed = f"The pods of all workers have died, after {ended} of {settings.n_trials} trials."
    if failed:
        # One of them may be what has ended the search.
        found.callbacks = []
    return driver.told(found, [], settings.max_failures, last=True, shown=shown, failed=failed)


def as_it_stands(study: Reference, journal: str, settings: plan.Settings) -> SearchStudy:
    """The study of a search that has not ended."""
    return collected(backend(journal), study.read(optuna.Study), settings.n_trials)[0]
