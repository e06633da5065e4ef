"""The report of a study as a page of its own."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import optuna


def report(study: optuna.Study, path: str | os.PathLike[str]) -> None:
    """Write the report of a study: one HTML file, readable offline.

    It shows the best trials, what the search cost, what its parameters did, learning curves, failures, and a table of
    all trials that can be sorted.

    Args:
        study: the study, of a search or of Optuna's own; it may be running, or have failed.
        path: the file, which is replaced if it exists.

    Raises:
        OSError: the file cannot be written; one that existed is as it was.
    """
    from flyteoptuna.show.page import deck

    target = Path(path)
    page = deck.document(study)
    new = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        new.write_text(page, "ascii")
        new.replace(target)
    finally:
        with suppress(OSError):
            new.unlink()
