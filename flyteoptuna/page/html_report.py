"""The HTML report of a study as a file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from flyteoptuna.values.atomic_write import atomic_write, find_target
from flyteoptuna.values.did_you_mean import names_arguments, value_and_type
from flyteoptuna.values.paths import path_text
from flyteoptuna.values.tracebacks import public

if TYPE_CHECKING:
    import optuna


@public
@names_arguments
def report(study: optuna.Study, path: str | os.PathLike[str]) -> None:
    """Write the report of a study: one HTML file, readable offline.

    It shows the best trials, the time that the search took, the effect of its parameters, learning curves, failures,
    and a sortable table of all trials.

    Args:
        study: a study of a search, or any other study of Optuna; it may be running or have failed.
        path: the file. An existing one is replaced; of a symbolic link, the file that it leads to.

    Raises:
        TypeError: an argument of the wrong type.
        ValueError: ``path`` is empty.
        OSError: the file cannot be written. An existing one is unchanged.
    """
    import optuna

    from flyteoptuna.page import pages

    if not isinstance(study, optuna.Study):
        raise TypeError(f"`study` must be an optuna.Study, but got {value_and_type(study)}.")
    # Before the work.
    find_target(path_text("path", path, "the path of a file"))
    page = pages.report_document(study)
    with atomic_write(path) as new:
        new.write_text(page, "ascii")
