"""What the driver pods of a search do: read the study, tell and ask, save it, draw the deck, keep within limits."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import NamedTuple

import optuna
from flytekit.core.context_manager import FlyteContextManager
from flytekit.deck import Deck

from flyteoptuna.core import plan
from flyteoptuna.flyte import report_type
from flyteoptuna.flyte.references import Reference
from flyteoptuna.flyte.study_type import HeldStudy
from flyteoptuna.search import rounds
from flyteoptuna.search.inputs import Batch, Build, batch_of
from flyteoptuna.show.log import logger
from flyteoptuna.show.page import deck
from flyteoptuna.storage.memory import SearchStudy
from flyteoptuna.study.budgets import SearchFailedError
from flyteoptuna.study.progress import Progress
from flyteoptuna.study.tell import unheard

INLINE_LIMIT = 2 * 1024 * 1024
"""Most bytes that Flyte reads of the graph of a dynamic task, by default."""


class Generation(NamedTuple):
    """What a generation asked.

    Attributes:
        study: the study with the trials of the batch running.
        over: whether the search asks no more.
        batch: the trials to run.
    """

    study: Reference
    over: bool
    batch: Batch


def seed() -> int:
    """A seed that is the same for each attempt of a pod, and another for each node of each execution."""
    prefix = str(FlyteContextManager.current_context().user_space_params.output_metadata_prefix)
    # The last part of the prefix is the attempt.
    return zlib.crc32(prefix.rstrip("/").rpartition("/")[0].encode()) >> 1


def begin(given: Reference | None, settings: plan.Settings, directions: Sequence[str], callbacks: str) -> HeldStudy:
    """The study that a search starts from; see :func:`rounds.begun`."""
    study = None if given is None else given.read(optuna.Study)
    return HeldStudy(rounds.begun(study, settings, directions, callbacks, seed()))


def tell(study: Reference, sent: Reference, max_failures: int | None, *, last: bool) -> SearchStudy:
    """The study with the reports of its running trials told.

    Raises:
        SearchFailedError: the search has failed; names the file that holds the study with all that is known.
    """
    state: SearchStudy = study.read(optuna.Study)
    reports = report_type.received(sent)
    reports += report_type.left(study, unheard(state, reports))

    def show(now: Progress) -> None:
        logger.info("%s", now)
        _draw(state, now, last=last)

    try:
        rounds.told(state, reports, max_failures, last=last, show=show)
    except SearchFailedError as error:
        path = report_type.path_of(HeldStudy(state))
        raise SearchFailedError(f"{error}\nThe study as it stands: {path}") from None
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
    size = len(settings) + sum(len(value.serialised()) for value in values)
    if 2 * children * size > INLINE_LIMIT:
        raise ValueError(
            f"The fixed inputs of a search must take at most {INLINE_LIMIT // (2 * children)} bytes inline, but they "
            f"take {size}. Pass large ones as a FlyteFile or a data frame, which go by reference."
        )


def generation(index: int, study: Reference, sent: Reference, settings: plan.Settings, build: Build) -> Generation:
    """Tell the reports of the generation before, and ask the trials of this one.

    Args:
        index: the generation, counted from 0.
        study: the study as the generation before left it.
        sent: the reports of that generation's trials.
        settings: the settings of the search.
        build: makes the call of the objective for a trial, by suggesting.
    """
    state = tell(study, sent, settings.max_failures, last=False)
    asked = rounds.asked(state, index, settings, build)
    batch = batch_of(state, asked)
    _check_size(batch)
    return Generation(HeldStudy(state), not asked, batch)


def _check_size(batch: Batch) -> None:
    size = sum(job.size for job in batch.jobs)
    # A dynamic task's graph holds what is bound in it twice.
    if 2 * size > INLINE_LIMIT:
        raise ValueError(
            f"The inputs of a batch must take at most {INLINE_LIMIT // 2} bytes, but those of {len(batch.jobs)} trials "
            f"take {size}. Choose a smaller `batch_size`."
        )
