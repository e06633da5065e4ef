"""The journal that the workers of a search share: begin it, open it in a worker, collect its study."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import optuna
from flytekit.core.context_manager import FlyteContextManager
from optuna.trial import TrialState

from flyteoptuna.flyte.references import Reference
from flyteoptuna.journal.object_store import ObjectStore
from flyteoptuna.search.batches import driver
from flyteoptuna.search.reused.worker import TrialWorker
from flyteoptuna.search.trial_inputs import Build
from flyteoptuna.storage.file_format import dump_study
from flyteoptuna.storage.search_study import SearchStudy
from flyteoptuna.study.settings import SearchSettings
from flyteoptuna.study.shared.journal_study import BEGUN, collect_study, publish_study, warn_of_damage
from flyteoptuna.study.shared.search_records import SearchJournal
from flyteoptuna.study.shared.shared_study import SharedStudy
from flyteoptuna.study.system_attrs import FINISHED, search_trials


def open_journal(url: str, worker: str = "") -> SearchJournal:
    """Open the journal in a folder, with Flyte's credentials."""
    files = FlyteContextManager.current_context().file_access.get_filesystem_for_path(url)
    return SearchJournal(url, fs=files, name=worker)


def publish_search(study: SearchStudy, url: str) -> None:
    """Write the journal of a search that begins.

    Beside it is the file of the study, with its sampler, pruner and callbacks, which no entry has.
    """
    files = FlyteContextManager.current_context().file_access.get_filesystem_for_path(url)
    ObjectStore(url, files).create(BEGUN, dump_study(study))
    publish_study(study, open_journal(url))


def begin_journal(
    given: Reference | None, settings: SearchSettings, directions: Sequence[str], strategies: str, objective: str = ""
) -> tuple[SearchStudy, str]:
    """Begin a search and its journal; return the study and the folder of the journal."""
    study = driver.begin_in_pod(given, settings, directions, strategies, batches=False, objective=objective)
    url = FlyteContextManager.current_context().file_access.get_random_remote_directory()
    open_journal(url).check()
    publish_search(study, url)
    return study, url


def open_worker(
    name: str,
    study: Reference,
    journal: str,
    settings: SearchSettings,
    objective: Any,
    build: Build,
    mapped: tuple[str, ...],
    fixed: Mapping[str, Reference],
    on_timeout: Callable[[], NoReturn] | None,
) -> TrialWorker:
    """Return a worker of a search, with a seed of its own for its sampler."""
    base: SearchStudy = study.read(optuna.Study)
    shared = SharedStudy(open_journal(journal, name), base, name, settings.n_trials)
    if settings.slots > 1 or shared.claims:
        # A worker must suggest neither what the other workers do, nor what it did before its pod died.
        base.sampler.reseed_rng()
    return TrialWorker(shared, settings, objective, build, mapped, fixed, on_timeout, journal=journal)


def finish_search(study: Reference, journal: str, settings: SearchSettings, *, draw: bool = True) -> SearchStudy:
    """Collect the study of a search whose workers have ended, and fail the trials without a report.

    Of a damaged journal, the study holds what precedes the damage. The search has failed then, unless it had ended.
    ``draw`` says whether the pod's deck and log show the study.

    Raises:
        SearchFailedError: the search has failed; names the file of the study.
    """
    backend = open_journal(journal)
    damage = backend.fetch_intact()
    state, ending = collect_study(backend, study.read(optuna.Study), settings.n_trials)
    finished, running = search_trials(state, *FINISHED), search_trials(state, TrialState.RUNNING)
    failure = ending.why if ending.failed else ""
    if damage:
        warn_of_damage(damage)
    if damage and (running or not ending.why):
        failure = failure or f"{damage}\nBefore it, {len(finished)} of {settings.n_trials} trials had ended."
    elif not ending.why:
        failure = f"The pods of all workers have died, after {len(finished)} of {settings.n_trials} trials."
    if failure:
        # A callback may have ended the search.
        state.callbacks = []
    return driver.tell_or_save(state, [], settings.max_failures, last=True, draw=draw, log=draw, failure=failure)
