"""What a generation's pod does with Optuna: tell the batch before, decide whether to go on, ask a batch."""

from __future__ import annotations

import base64
import hashlib
import math
import random
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, NamedTuple

import cloudpickle
import msgpack
import optuna
from flytekit.core.context_manager import FlyteContextManager
from flytekit.deck import Deck

from flyteoptuna import deck, local, log, plan, reports, space, trial
from flyteoptuna import study as studies
from flyteoptuna.capture import ObjectiveCall
from flyteoptuna.references import Reference, refer
from flyteoptuna.types import HeldStudy

KEEP_EVERY = 1.0
"""Seconds after which a local run saves its study again, at least."""
KEEP_SHARE = 0.05
"""Most of its time that a local run spends on that."""
INLINE_LIMIT = 2 * 1024 * 1024
"""Most bytes that Flyte reads of the graph of a dynamic task, by default."""


class Job(NamedTuple):
    """A trial to run: what its pod is told of it, and the inputs that are its own."""

    handle: dict[str, Any]
    inputs: dict[str, Reference]


class Batch(NamedTuple):
    """What a generation asked.

    Attributes:
        study: the study with the trials of the batch running.
        over: whether the search asks no more.
        objective: the task to map; None where there is no job.
        fixed: the inputs that all jobs share.
        jobs: the trials to run, in their order.
    """

    study: Reference
    over: bool
    objective: Any
    fixed: dict[str, Reference]
    jobs: list[Job]


def seed() -> int:
    """A seed that is the same for each attempt of a pod, and another for each node of each execution."""
    if not _in_pod():
        return random.SystemRandom().getrandbits(31)
    # The last part of the prefix is the attempt.
    node = (
        str(FlyteContextManager.current_context().user_space_params.output_metadata_prefix)
        .rstrip("/")
        .rpartition("/")[0]
    )
    return zlib.crc32(node.encode()) >> 1


def _in_pod() -> bool:
    return FlyteContextManager.current_context().execution_state is not None and not local.is_local()


def begin(given: Reference | None, settings: plan.Settings, directions: Sequence[str], callbacks: str) -> HeldStudy:
    """The study that a search starts from: the given one, or a new one.

    Args:
        given: the study to go on with.
        settings: the settings of the search.
        directions: directions of a new study, as many as the objective has values; empty where that is not known.
        callbacks: cloudpickled callbacks of the search, in base64; empty for none.

    Raises:
        ValueError: the given study has another number of directions.
    """
    study = (
        studies.create(settings.batch, seed(), directions or ("minimize",))
        if given is None
        else given.read(optuna.Study)
    )
    if directions and len(study.directions) != len(directions):
        raise ValueError(
            f"`study` must have as many directions as the objective has values, but it has {len(study.directions)} "
            f"and the objective returns {len(directions)}."
        )
    inputs = space.loads(settings.space) if settings.space else {}
    if waste := studies.wasteful(study, settings.batch, len([*space.suggestions(inputs)]) or None):
        log.logger.warning(waste)
    study.stopped = False
    study.callbacks = cloudpickle.loads(base64.b64decode(callbacks)) if callbacks else []
    studies.begin(study, settings.n_trials, plan.generations(settings.n_trials, settings.batch))
    return HeldStudy(study)


def _state(study: Reference) -> Any:
    # Within a local run a study goes on in memory; a pod, and the end of a local run, have to load it.
    return study.study if isinstance(study, HeldStudy) else study.read(optuna.Study)


def tell(study: Reference, sent: reports.Sent, max_failures: int | None, *, last: bool) -> studies.SearchStudy:
    """The study with the reports of its running trials told.

    Raises:
        SearchFailedError: the search has failed; names the file that holds the study with all that is known.
    """
    state: studies.SearchStudy = _state(study)
    with kept(state, reports.path_of(study)) if last else nullcontext():
        received = reports.received(sent)
        received += reports.left(study, studies.unheard(state, received))
        told = studies.tell(state, received, state.callbacks)
        if told or last:
            now = studies.progress(state)
            log.report(now, last=last)
            _show(state, now, last=last)
        try:
            studies.check(state, last=last, max_failures=max_failures)
        except studies.SearchFailedError as error:
            path = reports.path_of(HeldStudy(state))
            raise studies.SearchFailedError(f"{error}\nThe study as it stands: {path}") from None
    return state


@contextmanager
def kept(state: studies.SearchStudy, before: str | None = None) -> Iterator[None]:
    """Where a local run ends with an error, or is interrupted, log the file that holds its study.

    Args:
        state: the study.
        before: the file that holds it where it cannot be saved anew.
    """
    try:
        yield
    except BaseException as error:
        if local.is_local():
            log.close()
            # A failed search has named its file itself.
            if not isinstance(error, studies.SearchFailedError):
                with suppress(Exception):
                    _keep(state)
                log.logger.warning("The search has not finished. The study as it stands: %s", state.kept or before)
        raise


def _keep(state: studies.SearchStudy) -> None:
    start = time.monotonic()
    files = FlyteContextManager.current_context().file_access
    path = Path(state.kept or files.get_random_local_path())
    new = path.with_suffix(".new")
    new.write_bytes(studies.dumps(state))
    new.replace(path)
    end = time.monotonic()
    state.kept, state.keep_at = str(path), end + max(KEEP_EVERY, (end - start) / KEEP_SHARE)


def _show(state: optuna.Study, now: studies.Progress, *, last: bool) -> None:
    if not _in_pod():
        return
    at = {"generation": now.generation, "generations": now.generations, "n_trials": now.n_trials, "first": now.first}
    try:
        Deck("Search", deck.full(state) if last else deck.light(state, **at))
    except Exception:
        # A page that cannot be drawn is no reason to lose a search.
        log.logger.warning("The search goes on, but its deck could not be drawn.", exc_info=True)


def check_fixed(values: Sequence[Any], settings: str, children: int) -> None:
    """Refuse fixed inputs that would not fit into the graph of a span.

    Args:
        values: the fixed inputs, of which those that Flyte keeps inline count.
        settings: the settings of the search.
        children: most children of a span, each of which is given all of them.

    Raises:
        ValueError: the graph would be larger than Flyte reads.
    """
    size = len(settings) + sum(len(_serialised(value)) for value in values)
    if 2 * children * size > INLINE_LIMIT:
        raise ValueError(
            f"The fixed inputs of a search must take at most {INLINE_LIMIT // (2 * children)} bytes inline, but they "
            f"take {size}. Pass large ones as a FlyteFile or a data frame, which go by reference."
        )


def generation(
    index: int, study: Reference, sent: reports.Sent, settings: plan.Settings, build: Callable[[Any], ObjectiveCall]
) -> Batch:
    """Tell the reports of the generation before, and ask the trials of this one.

    Args:
        index: the generation, counted from 0.
        study: the study as the generation before left it.
        sent: the reports of that generation's trials.
        settings: the settings of the search.
        build: makes the call of the objective for a trial, by suggesting.
    """
    state = tell(study, sent, settings.max_failures, last=False)
    inputs = space.loads(settings.space) if settings.space else {}
    distinct = settings.avoid_duplicates or isinstance(state.sampler, optuna.samplers.BruteForceSampler)
    points = studies.points(inputs) if inputs and distinct else math.inf
    if local.is_local() and time.monotonic() >= state.keep_at:
        # So that what cannot be saved is known early, and little is lost if this process dies.
        _keep(state)
    asked: list[studies.Asked] = []
    if not studies.over(state, timeout=settings.timeout):
        for _ in range(plan.batch(index, settings.n_trials, settings.batch)):
            if studies.exhausted(state, points):
                break
            asked.append(studies.ask(state, index, build, fresh=settings.avoid_duplicates))
    objective, fixed, jobs = _jobs(state, [a for a in asked if a.inputs is not None])
    return Batch(HeldStudy(state), not asked, objective, fixed, jobs)


def _jobs(state: optuna.Study, asked: Sequence[studies.Asked]) -> tuple[Any, dict[str, Reference], list[Job]]:
    if not asked:
        return None, {}, []
    objective, first = asked[0].inputs.objective, asked[0].inputs.inputs
    for other in asked:
        if other.inputs.objective is not objective:
            raise TypeError(
                f"A callback must call the same objective in all trials of a batch, but it called {objective.name} "
                f"for trial {asked[0].number} and {other.inputs.objective.name} for trial {other.number}."
            )
    fixed = {
        name: value
        for name, value in first.items()
        if isinstance(value, Reference) and all(a.inputs.inputs[name] is value for a in asked)
    }
    natives, room = objective.python_interface.inputs, trial.room(len(asked))
    jobs, size = [], 0
    for number, params, call in asked:
        inputs = {name: refer(call.inputs[name], natives[name]) for name in natives if name not in fixed}
        data = [name.encode() + b"\0" + _serialised(value) for name, value in inputs.items()]
        key = hashlib.sha256(b"\0".join(data)).hexdigest()[:12]
        studies.note_key(state, number, key)
        jobs.append(Job({"number": number, "key": key, "params": params, "room": room}, inputs))
        size += sum(map(len, data)) + len(msgpack.dumps(jobs[-1].handle))
    # A dynamic task's graph holds what is bound in it twice.
    if 2 * size > INLINE_LIMIT:
        raise ValueError(
            f"The inputs of a batch must take at most {INLINE_LIMIT // 2} bytes, but those of {len(jobs)} trials take "
            f"{size}. Choose a smaller `batch_size`."
        )
    return objective, fixed, jobs


def _serialised(value: Reference) -> bytes:
    data: bytes = value.literal.to_flyte_idl().SerializeToString(deterministic=True)
    return data
