"""Work of the driver pods: read the study, tell and ask a generation, save the study, draw the deck."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import optuna
from flytekit.core.context_manager import FlyteContextManager
from flytekit.deck import Deck
from flytekit.exceptions.system import FlyteUploadDataException

from flyteoptuna.errors import SearchFailedError
from flyteoptuna.flyte import report_transport
from flyteoptuna.flyte.literal_hashes import input_hashes
from flyteoptuna.flyte.objective import TRIAL
from flyteoptuna.flyte.references import Reference, list_reference
from flyteoptuna.flyte.study_type import StudyReference
from flyteoptuna.flyte.types.casts import convert_literal
from flyteoptuna.internals.garbage_collection import exempt_existing_objects
from flyteoptuna.logs import logger
from flyteoptuna.page import pages
from flyteoptuna.search import generation
from flyteoptuna.search.trial_inputs import INLINE_LIMIT, MAP_LIMIT, Build
from flyteoptuna.storage.search_study import SearchStudy
from flyteoptuna.study.progress import Progress
from flyteoptuna.study.settings import SearchSettings
from flyteoptuna.study.tell import without_report
from flyteoptuna.trial.call_objective import outcome_of_exception
from flyteoptuna.trial.report import TrialReport
from flyteoptuna.values.retries import is_transient


class AskedGeneration(NamedTuple):
    """Outputs of an ask."""

    study: Reference  # the trials of the batch are running in it
    over: bool  # the search asks no more trials
    lists: dict[str, Reference]  # to map over, by the trial task's inputs; empty if there is no trial to run


def node_seed() -> int:
    """Seed of a node: the same for its retries, different for every other node."""
    prefix = str(FlyteContextManager.current_context().user_space_params.output_metadata_prefix)
    # The last part of the prefix is the attempt.
    return zlib.crc32(prefix.rstrip("/").rpartition("/")[0].encode()) >> 1


def begin_in_pod(
    given: Reference | None,
    settings: SearchSettings,
    directions: Sequence[str],
    strategies: str,
    *,
    batches: bool,
    objective: str = "",
) -> SearchStudy:
    """Begin a search in a driver pod; see ``begin_search``."""
    study = None if given is None else given.read(optuna.Study | None)
    return generation.begin_search(
        study, settings, directions, strategies, node_seed(), batches=batches, objective=objective
    )


def read_and_tell(
    study: Reference, map_output: Reference, max_failures: int | None, *, last: bool = False, draw: bool = True
) -> SearchStudy:
    """Read a study and tell it the reports of its running trials, with the output of the map that ran them.

    ``last`` says whether no generation follows, and ``draw`` whether this pod's deck shows the progress.

    Raises:
        SearchFailedError: the search has failed; names the file of the study.
    """
    state: SearchStudy = study.read(optuna.Study)
    # The pod keeps the study until it ends; scanning it for garbage takes a sixth of the pod's time.
    exempt_existing_objects()
    reports = report_transport.read_map_reports(map_output)
    reports += report_transport.read_failure_reports(study, without_report(state, reports))
    return tell_or_save(state, reports, max_failures, last=last, draw=draw)


def tell_or_save(
    state: SearchStudy,
    reports: Sequence[TrialReport],
    max_failures: int | None,
    *,
    last: bool,
    draw: bool = True,
    log: bool = True,
    failure: str = "",
) -> SearchStudy:
    """Tell a study the reports of its running trials; if the search fails, save it first.

    ``draw`` says whether the deck shows the progress, and ``log`` whether the log does.
    ``failure`` is the reason why the search has failed already; empty if it has not.

    Raises:
        SearchFailedError: the search has failed; names the file of the study.
    """

    def show(progress: Progress) -> None:
        if log:
            logger.info("%s", progress)
        if draw:
            _draw_deck(state, progress, last=last)

    try:
        generation.tell_generation(state, reports, max_failures, last=last, on_progress=show)
    except SearchFailedError as error:
        failure = failure or str(error)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        # A callback's exception ends the search, and the finished trials are saved.
        failure = failure or outcome_of_exception(error)[1]
    if failure:
        try:
            where = f"The study as it stands: {report_transport.study_path(StudyReference(state))}"
        except FlyteUploadDataException as error:
            if is_transient(error):
                raise
            where = f"Its study could not be saved: {error}"
        raise SearchFailedError(f"{failure}\n{where}")
    return state


def _draw_deck(state: optuna.Study, now: Progress, *, last: bool) -> None:
    at = {"generation": now.generation, "generations": now.generations, "n_trials": now.n_trials, "first": now.first}
    try:
        Deck("Search", pages.report_page(state) if last else pages.running_page(state, **at))
    except Exception:
        # A deck is no reason to lose a search.
        logger.warning("The search goes on, but its deck could not be drawn.", exc_info=True)


def check_fixed_size(values: Sequence[Reference], settings: str, children: int) -> None:
    """Refuse fixed inputs that do not fit into the graph of a span.

    Raises:
        ValueError: the graph is larger than Flyte reads.
    """
    size = len(settings) + _inline_size(values)
    if 2 * children * size > INLINE_LIMIT:
        raise ValueError(
            f"The fixed inputs of a search must take at most {INLINE_LIMIT // (2 * children)} bytes inline, but they "
            f"take {size}. Pass large ones as a FlyteFile or a data frame, which go by reference."
        )


def convert_fixed(
    given: Mapping[str, Reference], types: Mapping[str, Any], variables: Mapping[str, str]
) -> dict[str, Reference]:
    """Convert fixed inputs to literals that Flyte casts to the types of the user's task.

    Raises:
        ValueError: an input has another type.
    """
    return {variable: convert_literal(given[variable], types[variable], name) for name, variable in variables.items()}


def ask_in_pod(
    index: int,
    study: Reference,
    map_output: Reference,
    settings: SearchSettings,
    build: Build,
    mapped: Sequence[str],
    *,
    draw: bool = True,
) -> AskedGeneration:
    """Tell the reports of the previous generation, and ask the trials of this one."""
    state = read_and_tell(study, map_output, settings.max_failures, draw=draw)
    jobs = generation.ask_generation(state, index, settings, build, mapped)
    if jobs is None and (reason := generation.reason_to_stop_early(state, settings)):
        logger.info("The search is over: %s.", reason)
    inputs = [job.flyte_inputs() for job in jobs or ()]
    lists = {name: list_reference([each[name] for each in inputs]) for name in (TRIAL, *mapped)}
    return AskedGeneration(StudyReference(state), jobs is None, lists)


def fits_inline(asked: Any, *, cached: bool) -> bool:
    """Test whether the outputs of an ask fit into the graph of a dynamic task, which holds them twice, without hashes.

    ``cached`` says whether Flyte looks up the outputs of trials by these hashes.
    """
    values = {name: value for name, value in asked._asdict().items() if isinstance(value, Reference)}
    return 2 * _inline_size(values.values()) <= MAP_LIMIT and not (cached and input_hashes(values))


def _inline_size(values: Iterable[Reference]) -> int:
    """Size of the literals, bytes; of files and frames, only the references count."""
    return sum(len(value.serialised()) for value in values)
