"""A parallel Optuna hyperparameter search as a plain Flyte workflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flyteoptuna import suggest
    from flyteoptuna.core.suggestions import SpaceError
    from flyteoptuna.core.trial.current_trial import current_trial
    from flyteoptuna.flyte.outputs import outputs
    from flyteoptuna.journal.backend import JournalConflictError, JournalObjectBackend
    from flyteoptuna.journal.object_store import JournalError
    from flyteoptuna.optimizer import Optimizer, optimize
    from flyteoptuna.show.export import export
    from flyteoptuna.show.html_report import report
    from flyteoptuna.show.load import load_study
    from flyteoptuna.show.stored_file import StudyNotFoundError
    from flyteoptuna.storage.read_results import StudyFormatError
    from flyteoptuna.study.stopping import SearchFailedError

__all__ = [
    "JournalConflictError",
    "JournalError",
    "JournalObjectBackend",
    "Optimizer",
    "SearchFailedError",
    "SpaceError",
    "StudyFormatError",
    "StudyNotFoundError",
    "current_trial",
    "export",
    "load_study",
    "optimize",
    "outputs",
    "report",
    "suggest",
]

_HOMES = {
    "JournalConflictError": "journal.backend",
    "JournalError": "journal.object_store",
    "JournalObjectBackend": "journal.backend",
    "Optimizer": "optimizer",
    "SearchFailedError": "study.stopping",
    "SpaceError": "core.suggestions",
    "StudyFormatError": "storage.read_results",
    "StudyNotFoundError": "show.stored_file",
    "current_trial": "core.trial.current_trial",
    "export": "show.export",
    "load_study": "show.load",
    "optimize": "optimizer",
    "outputs": "flyte.outputs",
    "report": "show.html_report",
    "suggest": "suggest",
}


def __dir__() -> list[str]:
    return [*__all__]


def __getattr__(name: str) -> Any:
    # Lazy, because a trial's pod imports this package and must not pay for optuna.
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = importlib.import_module(f"flyteoptuna.{_HOMES[name]}")
    return home if name == "suggest" else getattr(home, name)
