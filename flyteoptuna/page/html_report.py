"""The HTML report of a study as a file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from flyteoptuna.values.atomic_write import atomic_write

if TYPE_CHECKING:
    import optuna


def report(study: optuna.Study, path: str | os.PathLike[str]) -> None:
    """Write the report of a study: one HTML file, readable offline.

    It shows the best trials, the time that the search took, the effect of its parameters, learning curves, failures,
    and a sortable table of all trials.

    Args:
        study: a study of a search, or any other study of Optuna; it may be running or have failed.
        path: the file. An existing one is replaced.

    Raises:
        OSError: the file cannot be written. An existing one is unchanged.
    """
    from flyteoptuna.page import pages

    page = pages.report_document(study)
    with atomic_write(path) as new:
        new.write_text(page, "ascii")
