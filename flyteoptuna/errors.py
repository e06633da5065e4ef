"""All exceptions that users can catch, below ``FlyteOptunaError``.

Most have a built-in exception as their second base: ``except ValueError`` catches a ``SpaceError``, for example.
"""

from __future__ import annotations

__all__ = [
    "ExportError",
    "FlyteOptunaError",
    "JournalConflictError",
    "JournalError",
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
]


class FlyteOptunaError(Exception):
    """Base class of this package's exceptions."""


class SpaceError(FlyteOptunaError, ValueError):
    """A suggestion or a search space breaks a rule. The message names the rule, the value and the dotted path."""


class SuggestionFailedError(FlyteOptunaError, ValueError):
    """A sampler could not suggest a parameter. The message names the parameter."""


class SearchFailedError(FlyteOptunaError, RuntimeError):
    """A search has failed. The message quotes the first causes and names the study's file."""


class TrialNotCompleteError(FlyteOptunaError, RuntimeError):
    """A trial of a cached objective did not complete. Its pod raises this error so that Flyte caches no output."""


class TaskNotLoadedError(FlyteOptunaError, RuntimeError):
    """A worker process of a local run cannot load a task."""


class StudyFormatError(FlyteOptunaError, ValueError):
    """A file is not a study, or not one that this version can read. The message names the field and the value."""


class StudyNotFoundError(FlyteOptunaError, LookupError):
    """There is no study at a source, or it is not accessible. The message names the source and what it holds.

    Attributes:
        pending: whether a study may appear later, because the execution is still running.
    """

    pending = False


class UntrustedError(FlyteOptunaError, ValueError):
    """An output may be a pickle, and its study comes from a source that is not trusted."""


class UnpicklableError(FlyteOptunaError, TypeError):
    """A sampler, a pruner or a callback can no longer be pickled. The message names it."""


class ExportError(FlyteOptunaError, RuntimeError):
    """A study cannot be written to a target. The message names the cause and the remedy."""


class TargetExistsError(ExportError, FileExistsError):
    """The target of an export already exists."""


class JournalError(FlyteOptunaError, RuntimeError):
    """A journal cannot be read or written, or is damaged. The message names the object."""


class StoreError(JournalError):
    """A store did not answer, in all attempts at a request. A later request may succeed."""


class JournalConflictError(JournalError):
    """Records that belong together were not written, because another writer's entry has changed what they are about.

    The journal has none of them, and the storage has read the other entry: read the trial again.
    """
