"""A parallel Optuna hyperparameter search as a plain Flyte workflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flyteoptuna import suggest
    from flyteoptuna.optimizer import Optimizer, optimize
    from flyteoptuna.study import SearchFailedError, StudyFormatError

__all__ = ["Optimizer", "SearchFailedError", "StudyFormatError", "optimize", "suggest"]

_HOMES = {
    "Optimizer": ("flyteoptuna.optimizer", "Optimizer"),
    "SearchFailedError": ("flyteoptuna.study", "SearchFailedError"),
    "StudyFormatError": ("flyteoptuna.study", "StudyFormatError"),
    "optimize": ("flyteoptuna.optimizer", "optimize"),
    "suggest": ("flyteoptuna.suggest", ""),
}


def __getattr__(name: str) -> Any:
    # Lazy, because a trial's pod imports this package and must not pay for optuna.
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOMES[name]
    home = importlib.import_module(module)
    return getattr(home, attribute) if attribute else home
