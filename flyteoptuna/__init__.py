"""A parallel Optuna hyperparameter search as a plain Flyte workflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flyteoptuna import suggest
    from flyteoptuna.errors import (
        ExportError,
        FlyteOptunaError,
        JournalConflictError,
        JournalError,
        SearchFailedError,
        SpaceError,
        StoreError,
        StudyFormatError,
        StudyNotFoundError,
        SuggestionFailedError,
        TargetExistsError,
        TaskNotLoadedError,
        TrialNotCompleteError,
        UnpicklableError,
        UntrustedError,
    )
    from flyteoptuna.flyte.outputs import outputs
    from flyteoptuna.journal.backend import JournalObjectBackend
    from flyteoptuna.load.export import export
    from flyteoptuna.load.load_study import load_study
    from flyteoptuna.optimizer import Optimizer, optimize
    from flyteoptuna.page.html_report import report
    from flyteoptuna.sampler.batch_sampler import BatchSampler
    from flyteoptuna.study.inputs import inputs
    from flyteoptuna.trial.current_trial import current_trial

__all__ = [
    "BatchSampler",
    "ExportError",
    "FlyteOptunaError",
    "JournalConflictError",
    "JournalError",
    "JournalObjectBackend",
    "Optimizer",
    "SearchFailedError",
    "SpaceError",
    "StoreError",
    "StudyFormatError",
    "StudyNotFoundError",
    "SuggestionFailedError",
    "TargetExistsError",
    "TaskNotLoadedError",
    "TrialNotCompleteError",
    "UnpicklableError",
    "UntrustedError",
    "current_trial",
    "export",
    "inputs",
    "load_study",
    "optimize",
    "outputs",
    "report",
    "suggest",
]

# Modules of the public names; all others are exceptions in `errors`.
_MODULES = {
    "BatchSampler": "sampler.batch_sampler",
    "JournalObjectBackend": "journal.backend",
    "Optimizer": "optimizer",
    "current_trial": "trial.current_trial",
    "export": "load.export",
    "inputs": "study.inputs",
    "load_study": "load.load_study",
    "optimize": "optimizer",
    "outputs": "flyte.outputs",
    "report": "page.html_report",
    "suggest": "suggest",
}


def __dir__() -> list[str]:
    return [*__all__]


def __getattr__(name: str) -> Any:
    # Lazy, because a trial's pod imports this package and must not import optuna.
    import importlib

    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"flyteoptuna.{_MODULES.get(name, 'errors')}")
    return module if name == "suggest" else getattr(module, name)
