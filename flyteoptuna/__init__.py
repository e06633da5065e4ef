"""A parallel Optuna hyperparameter search as a plain Flyte workflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flyteoptuna import suggest
    from flyteoptuna.journal import JournalConflictError, JournalError, JournalObjectBackend
    from flyteoptuna.optimizer import Optimizer, optimize
    from flyteoptuna.space import SpaceError
    from flyteoptuna.stored import StudyNotFoundError, load_study
    from flyteoptuna.study import SearchFailedError
    from flyteoptuna.study_file import StudyFormatError
    from flyteoptuna.trial import current_trial

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
    "load_study",
    "optimize",
    "suggest",
]

_HOMES = {
    "JournalConflictError": "journal",
    "JournalError": "journal",
    "JournalObjectBackend": "journal",
    "Optimizer": "optimizer",
    "SearchFailedError": "study",
    "SpaceError": "space",
    "StudyFormatError": "study_file",
    "StudyNotFoundError": "stored",
    "current_trial": "trial",
    "load_study": "stored",
    "optimize": "optimizer",
    "suggest": "suggest",
}


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    # Lazy, because a trial's pod imports this package and must not pay for optuna.
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = importlib.import_module(f"flyteoptuna.{_HOMES[name]}")
    return home if name == "suggest" else getattr(home, name)
