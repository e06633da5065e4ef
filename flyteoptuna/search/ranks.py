"""Ranks: processes in which a plugin calls the objective's function, as torch elastic does.

A rank has the trial as ``current_trial()``. Its exceptions are raised there, as in a plain task, for the plugin to
handle; its records come back by a file.
"""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flytekit.core.python_function_task import AsyncPythonFunctionTask, PythonFunctionTask

from flyteoptuna.flyte.objective import n_objective_values
from flyteoptuna.flyte.references import Reference, literal_from_bytes, make_reference
from flyteoptuna.internals.flytekit_internals import clone_task
from flyteoptuna.search.pruning import start_trial
from flyteoptuna.trial.call_objective import outcome_of_exception
from flyteoptuna.trial.current_trial import ActiveTrial, activate
from flyteoptuna.trial.rank_records import RANK, RankFile, RankTrial, read_rank_records
from flyteoptuna.trial.report import TrialHandle

if TYPE_CHECKING:
    from typing_extensions import Self

# Folders of the calls of this process. A forked process inherits them; a machine elsewhere has none.
_own_folders: set[str] = set()


class Ranks:
    """The ranks of one call of an objective. A context manager."""

    def __init__(self, handle: TrialHandle, study: Reference, objective: PythonFunctionTask[Any]) -> None:
        self._handle, self._study, self._objective = handle, study, objective
        self._folder = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._folder:
            _own_folders.discard(self._folder)
            shutil.rmtree(self._folder, ignore_errors=True)

    def task(self) -> PythonFunctionTask[Any]:
        """The objective; if its plugin calls the function, a copy with a function that is a rank wherever it runs."""
        objective = self._objective
        if type(objective).execute in (PythonFunctionTask.execute, AsyncPythonFunctionTask.execute):
            return objective
        self._folder = tempfile.mkdtemp(prefix="flyteoptuna-ranks-")
        _own_folders.add(self._folder)
        rank = _Rank(
            self._folder,
            os.getpid(),
            os.environ.get(RANK),
            self._handle,
            self._study.for_other_process(self._folder) if self._handle.prunes else b"",
            n_objective_values(objective),
        )
        task: PythonFunctionTask[Any] = clone_task(objective, function=rank.wrap(objective.task_function, objective))
        return task

    def collect_records(self, active: ActiveTrial) -> str:
        """Add the records of all ranks to the trial, first those of rank 0; return the pruner that has learned."""
        pruner = ""
        for records in read_rank_records(self._folder) if self._folder else ():
            active.add_missing_records(records.intermediate, records.user_attrs, records.system_attrs)
            pruner = pruner or records.pruner
        return pruner

    def outcome(self, error: BaseException) -> tuple[str, str]:
        """Trial state and reason for an exception of the plugin, which may stand for exceptions of ranks."""
        state, reason = outcome_of_exception(error)
        raised = [records.raised for records in read_rank_records(self._folder)] if self._folder else []
        failures = sorted(each for each in raised if each is not None)
        if state == "PRUNED" or not failures:
            return state, reason
        # The later ones may follow from it: a plugin ends the other ranks, or they miss the one that has ended.
        _, state, first = failures[0]
        same = first.partition("\n")[0] == reason.partition("\n")[0]
        return state, first if same or state == "PRUNED" else f"{first}\n\n{reason}"


@dataclass(frozen=True)
class _Rank:
    """A call of an objective's function, in the process that began the call of the objective or in another."""

    folder: str  # of the records
    process: int  # of the call of the objective
    process_rank: str | None  # its `RANK`
    handle: TrialHandle
    study: bytes  # reference to the study, serialised; empty without a pruner
    n_values: int

    def wrap(self, function: Callable[..., Any], objective: PythonFunctionTask[Any]) -> Callable[..., Any]:
        """Wrap the function, which a plugin may pickle by ``cloudpickle``."""

        def call(*args: Any, **kwargs: Any) -> Any:
            with self._recorded():
                return function(*args, **kwargs)

        async def call_async(*args: Any, **kwargs: Any) -> Any:
            with self._recorded():
                return await function(*args, **kwargs)

        return functools.wraps(function)(call_async if isinstance(objective, AsyncPythonFunctionTask) else call)

    @contextmanager
    def _recorded(self) -> Iterator[None]:
        file = RankFile(self.folder, self.process_rank)
        begun_here = self.folder in _own_folders and os.getpid() == self.process
        try:
            with nullcontext() if begun_here else self._active(file):
                yield
        except BaseException as error:
            file.write("raised", [time.time(), *outcome_of_exception(error)])
            raise

    @contextmanager
    def _active(self, file: RankFile) -> Iterator[None]:
        study = make_reference(literal_from_bytes(self.study))
        trial, decision = start_trial(RankTrial, self.handle, study, self.n_values)
        trial.write_to(file.write)
        try:
            with activate(trial):
                yield
        finally:
            trial.close()
            if decision is not None and (pruner := decision.learned_pruner(self.handle.byte_limit)):
                file.write("pruner", pruner)
