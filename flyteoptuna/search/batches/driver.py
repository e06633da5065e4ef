"""What the driver pods of a search do: read the study, tell and ask, save it, draw the deck, keep within limits."""

from __future__ import annotations

import gc
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import optuna
from flytekit.core.context_manager import FlyteContextManager
from flytekit.deck import Deck

from flyteoptuna.core import plan
from flyteoptuna.core.trial.call_objective import raised
from flyteoptuna.core.trial.report import TrialReport
from flyteoptuna.flyte import report_delivery
from flyteoptuna.flyte.objective import TRIAL
from flyteoptuna.flyte.references import Reference, collection
from flyteoptuna.flyte.study_type import HeldStudy
from flyteoptuna.flyte.types.conversions import converted
from flyteoptuna.search import rounds
from flyteoptuna.search.trial_inputs import INLINE_LIMIT, MAP_LIMIT, Build, jobs_of
from flyteoptuna.show.log import logger
from flyteoptuna.show.page import deck
from flyteoptuna.storage.memory import SearchStudy
from flyteoptuna.study.progress import Progress
from flyteoptuna.study.stopping import SearchFailedError
from flyteoptuna.study.tell import unheard


class Asked(NamedTuple):
    """What a generation asked.

    Attributes:
        study: the study with the trials of the batch running.
        over: whether the search asks no more.
        lists: what to map over, by the names of the trial task's inputs; the lists of a batch without trials are empty.
    """

    study: Reference
    over: bool
    lists: dict[str, Reference]


def seed() -> int:
    """A seed that is the same for each attempt of a pod, and another for each node of each execution."""
    prefix = str(FlyteContextManager.current_context().user_space_params.output_metadata_prefix)
    # The last part of the prefix is the attempt.
    return zlib.crc32(prefix.rstrip("/").rpartition("/")[0].encode()) >> 1


def begin(given: Reference | None, settings: plan.Settings, directions: Sequence[str], callbacks: str) -> HeldStudy:
    """The study that a search starts from; see :func:`rounds.begun`."""
    study = None if given is None else given.read(optuna.Study | None)
    return HeldStudy(rounds.begun(study, settings, directions, callbacks, seed(), concurrency=settings.slots))


def tell(
    study: Reference, sent: Reference, max_failures: int | None, *, last: bool = False, shown: bool = True
) -> SearchStudy:
    """The study with the reports of its running trials told.

    Args:
        study: the study.
        sent: the reports of the generation before.
        max_failures: most trials that may fail.
        last: whether no batch follows.
        shown: whether this pod's deck shows how far the search is.

    Raises:
        SearchFailedError: the search has failed; names the file that holds the study with all that is known.
    """
    state: SearchStudy = study.read(optuna.Study)
    # A pod of its own keeps what it has read to its end; looking through it for garbage takes a sixth of its time.
    gc.freeze()
    reports = report_delivery.received(sent)
    reports += report_delivery.left(study, unheard(state, reports))
    return told(state, reports, max_failures, last=last, shown=shown)


def told(
    state: SearchStudy,
    reports: Sequence[TrialReport],
    max_failures: int | None,
    *,
    last: bool,
    shown: bool = True,
    failed: str = "",
) -> SearchStudy:
    """The study with the reports told; see :func:`tell`.

    Args:
        state: the study, which is changed.
        reports: what its trials have sent.
        max_failures: most trials that may fail.
        last: whether no batch follows.
        shown: whether this pod's deck shows how far the search is.
        failed: why the search has failed; empty where that is still to be seen.
    """

    def show(now: Progress) -> None:
        logger.info("%s", now)
        if shown:
            _draw(state, now, last=last)

    try:
        rounds.told(state, reports, max_failures, last=last, show=show)
    except SearchFailedError as error:
        failed = failed or str(error)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        # What a callback raises ends the search, and what has run is kept.
        failed = failed or raised(error)[1]
    if failed:
        path = report_delivery.path_of(HeldStudy(state))
        raise SearchFailedError(f"{failed}\nThe study as it stands: {path}")
    return state


def _draw(state: optuna.Study, now: Progress, *, last: bool) -> None:
    at = {"generation": now.generation, "generations": now.generations, "n_trials": now.n_trials, "first": now.first}
    try:
        Deck("Search", deck.full(state) if last else deck.light(state, **at))
    except Exception:
        # A page that cannot be drawn is no reason to lose a search.
        logger.warning("The search goes on, but its deck could not be drawn.", exc_info=True)


def check_fixed(values: Sequence[Reference], settings: str, children: int) -> None:
    """Refuse fixed inputs that would not fit into the graph of a span.

    Args:
        values: the fixed inputs, of which those that Flyte keeps inline count.
        settings: the settings of the search.
        children: most children of a span, each of which is given all of them.

    Raises:
        ValueError: the graph would be larger than Flyte reads.
    """
    size = len(settings) + _size(values)
    if 2 * children * size > INLINE_LIMIT:
        raise ValueError(
            f"The fixed inputs of a search must take at most {INLINE_LIMIT // (2 * children)} bytes inline, but they "
            f"take {size}. Pass large ones as a FlyteFile or a data frame, which go by reference."
        )


def converted_inputs(
    given: Mapping[str, Reference], written: Mapping[str, Any], names: Mapping[str, str]
) -> dict[str, Reference]:
    """The fixed inputs by literals that Flyte casts where they are bound in the graphs of the search.

    Args:
        given: the fixed inputs, by their names in the search.
        written: their types, as the user has written them.
        names: their names in the search, by the user's own.

    Raises:
        ValueError: one is not of its type.
    """
    return {variable: converted(given[variable], written[variable], name) for name, variable in names.items()}


def ask(
    index: int,
    study: Reference,
    sent: Reference,
    settings: plan.Settings,
    build: Build,
    mapped: Sequence[str],
    *,
    shown: bool = True,
) -> Asked:
    """Tell the reports of the generation before, and ask the trials of this one.

    Args:
        index: the generation, counted from 0.
        study: the study as the generation before left it.
        sent: the reports of that generation's trials.
        settings: the settings of the search.
        build: makes the call of the objective for a trial, by suggesting.
        mapped: the inputs of the objective that differ from trial to trial.
        shown: whether this pod's deck shows how far the search is.
    """
    state = tell(study, sent, settings.max_failures, shown=shown)
    asked = rounds.asked(state, index, settings, build)
    if not asked and (why := rounds.why_over(state, settings)):
        logger.info("The search is over: %s.", why)
    jobs = jobs_of(state, asked, mapped)
    lists = {name: collection([job.inputs[name] for job in jobs]) for name in (TRIAL, *mapped)}
    return Asked(HeldStudy(state), not asked, lists)


def fits(asked: Any) -> bool:
    """Whether what was asked fits into the graph of a dynamic task, which holds twice what is bound in it."""
    return 2 * _size(value for value in asked if isinstance(value, Reference)) <= MAP_LIMIT


def _size(values: Iterable[Reference]) -> int:
    return sum(len(value.serialised()) for value in values)
