"""A search in this process: the same plan, ask, run and tell as the graph's, with the study in memory and on disk."""

from __future__ import annotations

import functools
import random
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from flytekit.core.context_manager import FlyteContextManager
from flytekit.core.promise import Promise, translate_inputs_to_literals
from flytekit.core.type_engine import TypeEngine
from flytekit.models.interface import Variable

from flyteoptuna.core import plan
from flyteoptuna.core.plain_values import plural
from flyteoptuna.core.trial import interrupts
from flyteoptuna.flyte.objective import STUDY, input_types
from flyteoptuna.flyte.promises import StudyPromise, copied, value_at
from flyteoptuna.flyte.references import Reference, reference
from flyteoptuna.flyte.scoped_settings import apart, scope
from flyteoptuna.search.best_outputs import PREFIX, of_best
from flyteoptuna.search.local.kept_study import Kept
from flyteoptuna.search.local.worker_pool import Pool
from flyteoptuna.search.request import Request
from flyteoptuna.search.trial_inputs import Job, builder, jobs_of
from flyteoptuna.search.trial_task import trial_task
from flyteoptuna.show.log import Narration, assignments, logger, numbers

if TYPE_CHECKING:
    from flyteoptuna.storage.memory import SearchStudy


def run(request: Request) -> Any:
    """Run a search; in the body of a workflow, a promise of its study, elsewhere the study itself.

    Raises:
        SearchFailedError: the search has failed; names the file that holds the study.
    """
    return apart(lambda: _run(request))


def _run(request: Request) -> Any:
    start = begin(request)
    kept = Kept(start.study)
    _Local(request, start.settings, start.fixed, kept).run()
    return _returned(kept, request)


class Start(NamedTuple):
    """A search that has begun.

    Attributes:
        study: its study.
        settings: its settings.
        fixed: the inputs that are the same for every trial.
    """

    study: SearchStudy
    settings: plan.Settings
    fixed: dict[str, Reference]


def begin(request: Request) -> Start:
    """Begin a search: every promise has its value, and the study is one of the search's own."""
    from flyteoptuna.search import rounds

    types = input_types(request.origin)
    counts = {name: _plain(name, value) for name, value in request.counts.items()}
    fixed = {name: _literal(name, value, types[name]) for name, value in request.fixed.items()}
    settings = plan.Settings(batch=counts.pop("batch_size"), space=request.space(), **counts)
    given = None if request.study is None else _given(request.study)
    seed, batches = random.SystemRandom().getrandbits(31), not request.reuse_pods
    study = rounds.begun(given, settings, request.directions, request.pickled, seed, batches=batches)
    return Start(study, settings, fixed)


def result(study: SearchStudy, request: Request, settings: plan.Settings) -> Any:
    """What a search returns that has ended: a promise of its study in the body of a workflow, elsewhere the study."""
    kept = Kept(study)
    kept.keep()
    _conclude(kept, request, settings)
    return _returned(kept, request)


def _returned(kept: Kept, request: Request) -> Any:
    if scope() is not None:
        several = len(request.directions) > 1
        best = None if several else functools.partial(_promised, kept.study)
        return StudyPromise("study", kept.literal(), None, several, request.params, best)
    return kept.copy()


def _promised(study: SearchStudy, name: str) -> Promise:
    return Promise(f"{PREFIX}{name}", of_best(study, name).literal)


def _given(study: Any) -> SearchStudy | None:
    """The study to go on with: a copy, as a pod would read it, for the one that was given stays as it is."""
    import optuna

    from flyteoptuna.flyte.study_type import handed_over
    from flyteoptuna.storage import file

    if not isinstance(study, Promise):
        return file.loads(handed_over(study))
    found: SearchStudy | None = _literal("study", study, optuna.Study | None).read(optuna.Study | None)
    return found


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


class _Local:
    """A local run of one search."""

    def __init__(self, request: Request, settings: plan.Settings, fixed: dict[str, Reference], kept: Kept) -> None:
        self.request, self.settings, self.fixed, self.kept = request, settings, fixed, kept
        self.study = kept.study
        # A callback has got the fixed inputs itself, and its objective may have others.
        self.shared = fixed if request.origin is request.objective else {}
        self.narration = Narration(None if request.open_ended else settings.n_trials, settings.concurrency)
        self.said: set[int] = set()

    def run(self) -> None:
        """Run it, and save the study, however it ends."""
        from flyteoptuna.study.stopping import SearchFailedError

        kept = self.kept
        try:
            with interruptible(), self.narration:
                self._generations()
            kept.keep()
        except SearchFailedError as error:
            self._keep()
            raise SearchFailedError(f"{error}\n{self._stands()}") from None
        except BaseException:
            self._keep()
            logger.warning("The search has not finished. %s", self._stands())
            raise
        finally:
            kept.close()
        _conclude(kept, self.request, self.settings)

    def _keep(self) -> None:
        """Save what there is, whatever it is that has ended the search."""
        from flyteoptuna.storage.file import UnpicklableError

        with suppress(Exception):
            try:
                self.kept.keep()
            except UnpicklableError:
                self.kept.keep(pickles=False)

    def _stands(self) -> str:
        return self.kept.where() if self.kept.unsaved else f"The study as it stands: {self.kept.path}"

    def _generations(self) -> None:
        from flyteoptuna.search import rounds

        settings, study, request = self.settings, self.study, self.request
        build = builder(request.origin, request.objective, settings.space, self.fixed)
        task = trial_task(request.objective, request.mapped, tuple(self.shared), again=False)
        reports: list[Any] = []
        with Pool(task, request.objective, settings.slots, settings.n_trials) as pool:
            for index in range(plan.generations(settings.n_trials, settings.batch)):
                self._told(reports, last=False)
                self.kept.now_and_then()
                asked, reports = rounds.asked(study, index, settings, build), []
                if not asked:
                    break
                reports = self._reports(pool, jobs_of(study, asked, request.mapped))
        self._told(reports, last=True)

    def _told(self, reports: list[Any], *, last: bool) -> None:
        from flyteoptuna.search import rounds
        from flyteoptuna.study.progress import Progress
        from flyteoptuna.study.system_attrs import FINISHED, own

        def show(now: Progress) -> None:
            # What never ran, or whose process died, has no report.
            for trial in own(self.study, *FINISHED):
                if trial.number not in self.said:
                    self._say(trial.number, trial.state.name, trial.values, trial.params, 0.0, _why(trial))
            self.narration.best(now.best)

        rounds.told(self.study, reports, self.settings.max_failures, last=last, show=show)

    def _reports(self, pool: Pool, jobs: list[Job]) -> list[Any]:
        if not jobs:
            return []
        study = self.kept.asked(prunes=jobs[0].handle["prunes"])
        items = [{STUDY: study, **job.inputs, **self.shared} for job in jobs]

        def ended(position: int, report: Any) -> None:
            if report is not None:
                params = jobs[position].handle["params"]
                seconds = report.end - report.start
                self._say(report.trial, report.state, report.values, params, seconds, report.error)

        return [report for report in pool.batch(items, ended) if report is not None]

    def _say(self, number: int, *what: Any) -> None:
        self.said.add(number)
        self.narration.trial(number, *what)


def _why(trial: Any) -> str:
    from flyteoptuna.core.trial.report import ERROR_ATTRIBUTE

    return str(trial.user_attrs.get(ERROR_ATTRIBUTE, ""))


def _conclude(kept: Kept, request: Request, settings: plan.Settings) -> None:
    """Say why a search has ended, what its best trial is, and where its study is; a line each."""
    for line in (_end(kept.study, settings, open_ended=request.open_ended), _best(kept.study), kept.where()):
        if line:
            logger.info("%s", line)


def _end(study: SearchStudy, settings: plan.Settings, *, open_ended: bool) -> str:
    """Why a search has ended."""
    from flyteoptuna.search import rounds
    from flyteoptuna.study.system_attrs import own

    asked = len(own(study))
    if asked >= settings.n_trials:
        ran = "its one trial has run" if asked == 1 else f"all of its {asked:,} trials have run"
        return f"The search has ended: {ran}."
    of = "" if open_ended else f" of {settings.n_trials}"
    return f"The search has ended after {asked}{of} trials: {rounds.why_over(study, settings)}."


def _best(study: SearchStudy) -> str:
    from flyteoptuna.study import results

    if len(study.directions) > 1:
        return f"On the Pareto front: {plural(len(study.best_trials), 'trial')}."
    best = results.best(study)
    if best is None:
        return ""
    return f"The best is trial {best.number}: {numbers(best.values)} with {assignments(best.params)}."


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C end a search: of it flytekit makes SystemExit, which in an objective is a failure."""
    handler = signal.getsignal(signal.SIGINT)
    own = getattr(handler, "__qualname__", "").endswith(".main_signal_handler")
    if not own or threading.current_thread() is not threading.main_thread():
        # A handler of the user's knows what it does.
        yield
        return
    signal.signal(signal.SIGINT, interrupts.take)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        interrupts.forget()
