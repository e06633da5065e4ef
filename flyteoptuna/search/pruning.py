"""A running trial and its study: the directions, and the decisions of the pruner."""

from __future__ import annotations

import contextvars
import copy
import threading
from collections.abc import Sequence
from typing import Any, NoReturn, TypeVar

from flyteoptuna.errors import StoreError
from flyteoptuna.flyte.references import Reference
from flyteoptuna.logs import logger
from flyteoptuna.trial.current_trial import ActiveTrial
from flyteoptuna.trial.report import TrialHandle
from flyteoptuna.values.retries import limited_patience

TrialT = TypeVar("TrialT", bound=ActiveTrial)


def start_trial(
    kind: type[TrialT], handle: TrialHandle, study: Reference, n_values: int
) -> tuple[TrialT, PruningDecision | None]:
    """Return a trial, as ``current_trial()`` is to return it, and its pruning decision; None without a pruner.

    Args:
        kind: class of the trial.
        handle: handle of the trial.
        study: the study of the trial's batch.
        n_values: number of values that the objective returns.
    """
    decision = PruningDecision(study) if handle.prunes else None
    directions = StudyDirections(handle.directions)
    return kind(handle.number, handle.params, decision, n_objectives=n_values, study=directions), decision


class StudyDirections:
    """Stand-in for the study with its directions only, for the pruning callbacks of other libraries."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    @property
    def directions(self) -> list[Any]:
        """Directions, as ``optuna.study.StudyDirection``."""
        from optuna.study import StudyDirection

        return [StudyDirection[name] for name in self._names]

    @property
    def direction(self) -> Any:
        """Direction of a study with one objective."""
        if len(self._names) > 1:
            raise RuntimeError("A single direction cannot be retrieved from a multi-objective study.")
        return self.directions[0]

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(
            f"The study of a trial that runs has `direction` and `directions`, and no `{name}`: what is to be known of "
            "its trials has to be an input of the objective."
        )


class PruningDecision:
    """Asks the study's pruner whether to prune a running trial.

    The study is read, and Optuna imported, when the objective first calls ``should_prune``.
    """

    def __init__(self, reference: Reference) -> None:
        self._reference = reference
        self._study: Any = None
        self._sent_pruner = ""
        self._reported: set[int] = set()
        # Threads of an objective may ask one at a time, and have no context of flytekit's.
        self._lock = threading.Lock()
        self._context = contextvars.copy_context()

    def __call__(self, active: ActiveTrial) -> bool:
        """Ask the pruner; False where the store of a shared study does not answer.

        System attributes that it sets on the trial are set on ``active``.
        """
        with self._lock, limited_patience(0):
            try:
                return self._ask_pruner(active)
            except StoreError as error:
                logger.warning("Trial %d goes on, because its pruner cannot be asked: %s", active.number, error)
                return False

    def _ask_pruner(self, active: ActiveTrial) -> bool:
        from flyteoptuna.internals.optuna_internals import set_intermediate_value

        study = self._read_study()
        trial = study.get_trials(deepcopy=False)[active.number]
        intermediate = active.intermediate
        for step in [step for step in intermediate if step not in self._reported]:
            set_intermediate_value(study, trial, step, intermediate[step])
        self._reported.update(intermediate)
        # Not through an `optuna.Trial`, whose constructor lets the sampler suggest.
        before = study.get_trials(deepcopy=False)[active.number]
        pruned = bool(study.pruner.prune(study, copy.deepcopy(before)))
        after = study.get_trials(deepcopy=False)[active.number].system_attrs
        # Successive halving compares a trial with the rungs in the system attributes of others.
        active.set_system_attrs({k: after[k] for k in after if before.system_attrs.get(k, self) != after[k]})
        return pruned

    def _read_study(self) -> Any:
        import optuna

        from flyteoptuna.study.pruner_state import serialise_pruner

        if self._study is None:
            self._study = self._context.copy().run(self._reference.read, optuna.Study)
            self._sent_pruner = serialise_pruner(self._study.pruner)
        return self._study

    def learned_pruner(self, byte_limit: int) -> str:
        """Serialise the pruner; empty if it has learned nothing in this trial, or is too large for a report."""
        from flyteoptuna.study.pruner_state import serialise_pruner

        if self._study is None:
            return ""
        pruner = serialise_pruner(self._study.pruner)
        return pruner if pruner != self._sent_pruner and len(pruner) <= byte_limit else ""
