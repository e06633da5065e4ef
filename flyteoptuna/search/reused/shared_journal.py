"""The journal of a search with reused pods: begun, opened for a worker, made into the study of the search."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optuna
from flytekit.core.context_manager import FlyteContextManager

from flyteoptuna.core import plan
from flyteoptuna.flyte import report_type
from flyteoptuna.flyte.references import Reference
from flyteoptuna.flyte.study_type import HeldStudy
from flyteoptuna.journal.backend import JournalObjectBackend
from flyteoptuna.search import rounds
from flyteoptuna.search.batches import driver
from flyteoptuna.search.inputs import Build
from flyteoptuna.search.reused.worker import Worker
from flyteoptuna.storage.memory import SearchStudy
from flyteoptuna.study.budgets import SearchFailedError
from flyteoptuna.study.marks import own
from flyteoptuna.study.shared.shared_study import SharedStudy, collected, publish


def backend(url: str, worker: str = "") -> JournalObjectBackend:
    """The journal in a folder of Flyte's raw-data bucket, with the credentials that Flyte has for it."""
    files = FlyteContextManager.current_context().file_access.get_filesystem_for_path(url)
    return JournalObjectBackend(url, fs=files, name=worker)


def begin(
    given: Reference | None, settings: plan.Settings, directions: Sequence[str], callbacks: str
) -> tuple[HeldStudy, str]:
    """The study that a search starts from, and the folder of the journal that begins with it."""
    study = None if given is None else given.read(optuna.Study | None)
    begun = rounds.begun(study, settings, directions, callbacks, driver.seed(), batches=False)
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
    # Each worker suggests by itself, and must not suggest what the others do.
    base.sampler.reseed_rng()
    shared = SharedStudy(backend(journal, name), base, name, settings.n_trials)
    return Worker(shared, settings, objective, build, mapped, fixed, hung)


def finish(study: Reference, journal: str, settings: plan.Settings) -> SearchStudy:
    """The study of a search whose workers have ended, with what they left running told."""
    base: SearchStudy = study.read(optuna.Study)
    found, why = collected(backend(journal), base, settings.n_trials)
    state = driver.told(found, [], settings.max_failures, last=True)
    if not why:
        path = report_type.path_of(HeldStudy(state))
        raise SearchFailedError(
            f"The pods of all workers have died, after {len(own(state))} of {settings.n_trials} trials.\n"
            f"The study as it stands: {path}"
        )
    return state
