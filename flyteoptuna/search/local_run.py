"""A search in this process: the same plan, ask, run and tell as the graph's, with the study in memory and on disk."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flytekit.core.context_manager import FlyteContextManager
from flytekit.core.promise import Promise, translate_inputs_to_literals
from flytekit.core.type_engine import TypeEngine
from flytekit.models.interface import Variable

from flyteoptuna.core import plan
from flyteoptuna.flyte.objective import STUDY, TRIAL, input_types
from flyteoptuna.flyte.promises import StudyPromise, copied, value_at
from flyteoptuna.flyte.references import Reference, packed, reference
from flyteoptuna.flyte.scoped import scope
from flyteoptuna.search import workers
from flyteoptuna.search.inputs import Job, builder, jobs_of
from flyteoptuna.search.request import Request
from flyteoptuna.search.trial_task import trial_task
from flyteoptuna.show.log import Bar, logger

if TYPE_CHECKING:
    from typing_extensions import Self

    from flyteoptuna.storage.memory import SearchStudy

KEEP_EVERY = 1.0
"""Seconds after which a local run saves its study again, at least."""
KEEP_SHARE = 0.05
"""Most of its time that a local run spends on that."""


def is_local() -> bool:
    """Whether a search is to run here, rather than to be added to a workflow that is being compiled."""
    return FlyteContextManager.current_context().compilation_state is None


def run(request: Request) -> Any:
    """Run a search; in the body of a workflow, a promise of its study, elsewhere the study itself.

    Raises:
        SearchFailedError: the search has failed; names the file that holds the study.
    """
    import optuna

    from flyteoptuna.flyte.study_type import HeldStudy
    from flyteoptuna.search import rounds

    types = input_types(request.origin)
    counts = {name: _plain(name, value) for name, value in request.counts.items()}
    fixed = {name: _literal(name, value, types[name]) for name, value in request.fixed.items()}
    settings = plan.Settings(batch=counts.pop("batch_size"), space=request.space(), **counts)
    # A copy, as a pod would read: the study that was given stays as it is.
    given = (
        None
        if request.study is None
        else _literal("study", request.study, optuna.Study | None).read(optuna.Study | None)
    )
    seed = random.SystemRandom().getrandbits(31)
    study = rounds.begun(given, settings, request.directions, request.pickled(), seed)
    with _Kept(study) as kept:
        _generations(kept, settings, request, fixed)
        literal = HeldStudy(study).literal
    if scope() is not None:
        return StudyPromise("o0", literal, None, len(request.directions) > 1)
    return reference(literal).read(optuna.Study)


def _plain(name: str, value: Any) -> Any:
    if not isinstance(value, Promise):
        return value
    found = value_at(value)
    # A whole float is an int where a struct holds it.
    return float(found) if name == "timeout" and found is not None else found


def _literal(name: str, value: Any, kind: Any) -> Reference:
    # Flytekit resolves promises, and the fields and items of promises, in lists and dictionaries too.
    variable = Variable(TypeEngine.to_literal_type(kind), "")
    ctx = FlyteContextManager.current_context()
    made = translate_inputs_to_literals(ctx, {name: copied(value)}, {name: variable}, {name: kind})
    return reference(made[name])


def _generations(kept: _Kept, settings: plan.Settings, request: Request, fixed: dict[str, Reference]) -> None:
    from flyteoptuna.search import rounds

    study, build = kept.study, builder(request.origin, request.objective, settings.space, fixed)
    shared = fixed if request.origin is request.objective else {}
    reports: list[Any] = []
    for index in range(plan.generations(settings.n_trials, settings.batch)):
        with kept.failing():
            rounds.told(study, reports, settings.max_failures, last=False, show=kept.bar.show)
        kept.now_and_then()
        asked, reports = rounds.asked(study, index, settings, build), []
        if not asked:
            break
        reports = _reports(kept, request, jobs_of(study, asked, request.mapped), shared, settings.concurrency)
    with kept.failing():
        rounds.told(study, reports, settings.max_failures, last=True, show=kept.bar.show)


def _reports(
    kept: _Kept, request: Request, jobs: list[Job], shared: dict[str, Reference], concurrency: int
) -> list[Any]:
    if not jobs:
        return []
    task = trial_task(request.objective, request.mapped, tuple(shared), again=False)
    study = kept.asked(prunes=jobs[0].handle["prunes"])
    items = [{TRIAL: reference(packed(job.handle)), STUDY: study, **job.inputs, **shared} for job in jobs]
    return [report for report in workers.batch(task, items, concurrency) if report is not None]


class _Kept:
    """The study of a local run, which is saved now and then; an early end names the file that holds it.

    Attributes:
        study: the study.
        bar: shows how far the search is.
        path: the file; None before the study is first saved.
    """

    def __init__(self, study: SearchStudy) -> None:
        self.study = study
        self.bar = Bar()
        self.path: str | None = None
        self._next = 0.0
        self._asked: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        from flyteoptuna.study.budgets import SearchFailedError

        self.bar.close()
        # A failed search has named its file itself.
        if error is not None and not isinstance(error, SearchFailedError):
            with suppress(Exception):
                self.keep()
            logger.warning("The search has not finished. The study as it stands: %s", self.path)

    def now_and_then(self) -> None:
        """Save the study if it is time: what cannot be saved is known early, and little is lost if the process dies."""
        if time.monotonic() >= self._next:
            self.keep()

    def keep(self) -> None:
        """Save the study."""
        start = time.monotonic()
        self.path = self.path or FlyteContextManager.current_context().file_access.get_random_local_path()
        self._write(self.path)
        end = time.monotonic()
        self._next = end + max(KEEP_EVERY, (end - start) / KEEP_SHARE)

    def _write(self, path: str) -> None:
        from flyteoptuna.storage import file

        new = Path(f"{path}.new")
        new.write_bytes(file.dumps(self.study))
        new.replace(path)

    def asked(self, *, prunes: bool) -> Reference:
        """The study as it is, for the pruner of trials that may run in other processes; nothing if there is none."""
        if not prunes:
            return reference(packed({}))
        self._asked = self._asked or FlyteContextManager.current_context().file_access.get_random_local_path()
        self._write(self._asked)
        return reference(packed({"_path": self._asked}))

    @contextmanager
    def failing(self) -> Iterator[None]:
        """Where the search fails, save the study and name its file in the error."""
        from flyteoptuna.study.budgets import SearchFailedError

        try:
            yield
        except SearchFailedError as error:
            self.keep()
            raise SearchFailedError(f"{error}\nThe study as it stands: {self.path}") from None
