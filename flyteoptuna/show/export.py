"""A study for other tools: a database, a journal, a table."""

from __future__ import annotations

import copy
import csv
import importlib.util
import json
import logging
import os
import shutil
import sys
import tempfile
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flyteoptuna.core.optuna_log import log_of

if TYPE_CHECKING:
    import optuna


class ExportError(RuntimeError):
    """A study that cannot be written where it should be; says why, and what to do."""


class TargetExistsError(ExportError, FileExistsError):
    """There is a file, or a study of that name, already, and it is not to be overwritten."""


DATABASES = ("sqlite", "mysql", "postgresql")

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""With what text begins that a spreadsheet would take for a formula, which are also the wide forms."""

_Writer = Callable[["optuna.Study", str, str, bool], str]


def export(
    study: optuna.Study, target: str | os.PathLike[str], *, name: str | None = None, overwrite: bool = False
) -> str:
    """Write a study where other tools read it, with every trial's number, state, values, parameters and attributes.

    Where the outputs of trials are stands in user attributes of their names, unless a trial has one of that name.
    In a CSV file, text that a spreadsheet would take for a formula stands behind an apostrophe.

    Args:
        study: any study of Optuna's, in any storage.
        target: a database URL (``sqlite:///study.db``, ``mysql://...``, ``postgresql://...``); a file whose name ends
            in ``.log`` or ``.journal``, for a journal of Optuna's; or in ``.csv`` or ``.parquet``, for a table.
        name: of the study in a database or a journal. Default: the study's own.
        overwrite: whether to replace the file, or the study of that name in the database, once all is written.

    Returns:
        The target, without a password.

    Raises:
        TypeError: an argument of the wrong type.
        ValueError: a target of another kind.
        TargetExistsError: what is there is not to be overwritten. It is an ``ExportError`` and a ``FileExistsError``.
        ExportError: the study cannot be written there; nothing is left of it, and what was there stays.
    """
    import optuna

    if not isinstance(study, optuna.Study):
        raise TypeError(f"`study` must be an optuna.Study, but got {type(study).__name__}.")
    if not isinstance(target, (str, os.PathLike)) or not isinstance(text := os.fspath(target), str):
        raise TypeError(f"`target` must be a path or the URL of a database, but got {type(target).__name__}.")
    if name is not None and not isinstance(name, str):
        raise TypeError(f"`name` must be a string or None, but got {type(name).__name__}.")
    if not isinstance(overwrite, bool):
        raise TypeError(f"`overwrite` must be True or False, but got {type(overwrite).__name__}.")
    write = writer(text)
    try:
        with log_of(logging.ERROR), warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return write(_naming_outputs(study), text, name or study.study_name, overwrite)
    except ExportError:
        raise
    except Exception as error:
        # Databases, drivers and file systems have exceptions of their own.
        raise ExportError(f"The study cannot be written there: {_line(error)}") from error


def _naming_outputs(study: optuna.Study) -> optuna.Study:
    """A study whose trials have user attributes that tell where their outputs are."""
    from flyteoptuna.flyte.outputs import outputs_of
    from flyteoptuna.study.shared.shared_study import in_memory_as

    trials, named = study.get_trials(deepcopy=False), False
    for position, trial in enumerate(trials):
        if places := outputs_of(trial):
            trials[position] = copy.copy(trial)
            trials[position].user_attrs = {**places, **trial.user_attrs}
            named = True
    return in_memory_as(study, trials) if named else study


def _line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return ": ".join([type(error).__name__, *lines[:1]])


def writer(target: str) -> _Writer:
    """What writes a study to such a target; called with the study, the target, a name and whether to overwrite.

    It returns the target as it may be shown, without a password.

    Raises:
        ValueError: a target of another kind.
    """
    scheme, separator, _ = target.partition("://")
    if separator:
        if scheme.partition("+")[0] in DATABASES:
            return _to_database
        raise ValueError(
            f"A study is written to a file here or a database ({', '.join(DATABASES)}), but got {scheme}://."
        )
    writers: dict[str, _Writer] = {
        ".log": _to_journal,
        ".journal": _to_journal,
        ".csv": _to_table,
        ".parquet": _to_table,
    }
    suffix = Path(target).suffix.lower()
    if suffix not in writers:
        raise ValueError(
            f"A study is written to a database, as sqlite:///study.db, or to a file that ends in {', '.join(writers)}, "
            f"but got {target!r}."
        )
    return writers[suffix]


def _to_database(study: optuna.Study, url: str, name: str, overwrite: bool) -> str:
    import sqlalchemy
    from optuna.storages import RDBStorage

    parsed = sqlalchemy.make_url(url)
    with _new_file(parsed.database, sqlite=parsed.drivername.startswith("sqlite")):
        storage = RDBStorage(url)
        try:
            existing = None
            with suppress(KeyError):
                existing = storage.get_study_id_from_name(name)
            if existing is not None and not overwrite:
                raise TargetExistsError(f"The database has a study {name!r}: give another name, or overwrite it.")
            _replace(study, storage, name, existing)
        finally:
            storage.engine.dispose()
    return str(parsed)


@contextmanager
def _new_file(path: str | None, *, sqlite: bool) -> Iterator[None]:
    """Refuses what is no file of a database, and leaves none behind where there was none and something fails."""
    if not sqlite:
        yield
        return
    if not path or path == ":memory:":
        raise ExportError("A database in memory ends with this process: name a file, as in sqlite:///study.db")
    if path.startswith("file:"):
        yield
        return
    _check_place(Path(path))
    there = os.path.exists(path)
    try:
        yield
    except BaseException:
        if not there:
            with suppress(OSError):
                os.remove(path)
        raise


def _replace(study: optuna.Study, storage: optuna.storages.RDBStorage, name: str, existing: int | None) -> None:
    import sqlalchemy

    # Half a study would be taken for a whole one, and what it replaces stays until all is there.
    study_id = None
    aside = f"{name[:100]} (being written, {uuid.uuid4().hex})"
    try:
        study_id = _copy(study, storage, aside)
        if existing is not None:
            storage.delete_study(existing)
        with storage.engine.begin() as connection:
            table = sqlalchemy.table("studies", sqlalchemy.column("study_id"), sqlalchemy.column("study_name"))
            connection.execute(sqlalchemy.update(table).where(table.c.study_id == study_id).values(study_name=name))
    except BaseException:
        with suppress(Exception):
            storage.delete_study(storage.get_study_id_from_name(aside))
        raise


def _to_journal(study: optuna.Study, target: str, name: str, overwrite: bool) -> str:
    from optuna.storages.journal import JournalFileBackend, JournalStorage

    with _replacing(target, overwrite) as path:
        _copy(study, JournalStorage(JournalFileBackend(path)), name)
    return target


def _copy(study: optuna.Study, storage: optuna.storages.BaseStorage, name: str) -> int:
    from rich.console import Console
    from rich.progress import track

    study_id = storage.create_new_study(study.directions, name)
    for key, value in study.user_attrs.items():
        storage.set_study_user_attr(study_id, key, value)
    for key, value in study._storage.get_study_system_attrs(study._study_id).items():
        storage.set_study_system_attr(study_id, key, value)
    quiet = not sys.stderr.isatty()
    trials = study.get_trials(deepcopy=False)
    for trial in track(trials, "Writing", console=Console(stderr=True), transient=True, disable=quiet):
        storage.create_new_trial(study_id, template_trial=trial)
    return study_id


def _to_table(study: optuna.Study, target: str, name: str, overwrite: bool) -> str:
    if importlib.util.find_spec("pandas") is None:
        raise ExportError("A table needs pandas: pip install pandas")
    value = "value" if len(study.directions) == 1 else "values"
    times = ("datetime_start", "datetime_complete", "duration")
    frame = study.trials_dataframe(
        ("number", "state", value, *times, "params", "user_attrs", "intermediate_values", "system_attrs")
    )
    parquet = target.lower().endswith(".parquet")
    for position in range(len(frame.columns)):
        # By position: two columns may have one name. A column of numbers, times or flags is as it should be.
        column = frame.iloc[:, position]
        if column.dtype.kind == "O":
            frame.isetitem(position, _cells(list(column), typed=parquet))
    with _replacing(target, overwrite) as path:
        if parquet:
            frame.to_parquet(path, index=False)
        else:
            frame.columns = [_harmless(str(column)) for column in frame.columns]
            # Text is quoted, for a carriage return in it would begin a row.
            frame.to_csv(path, index=False, quoting=csv.QUOTE_NONNUMERIC, errors="backslashreplace")
    return target


def _cells(cells: list[Any], *, typed: bool) -> list[Any]:
    # In a file of typed columns, those of several types are text, as are what only Python has.
    kinds = {type(v) for v in cells if v is not None and v == v}
    if kinds & {dict, list, tuple} or (typed and len(kinds) > 1):
        return [json.dumps(v) if v is not None and v == v else None for v in cells]
    return cells if typed else [_harmless(v) if isinstance(v, str) else v for v in cells]


def _harmless(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


@contextmanager
def _replacing(target: str, overwrite: bool) -> Iterator[str]:
    """A path to write to, whose file becomes the target when all has gone well."""
    # Of a link, what it leads to is replaced.
    end = Path(os.path.realpath(target))
    _check_place(end)
    if end.exists() and not overwrite:
        raise TargetExistsError(f"{target} exists: give another one, or overwrite it.")
    with tempfile.TemporaryDirectory(prefix=".export-", dir=end.parent) as folder:
        path = os.path.join(folder, f"part{end.suffix}")
        yield path
        if end.exists():
            shutil.copymode(end, path)
        os.replace(path, end)


def _check_place(path: Path) -> None:
    if not path.parent.is_dir():
        raise ExportError(f"There is no folder {path.parent}")
    if path.is_dir():
        raise ExportError(f"{path} is a folder: name a file in it.")
    if path.exists() and not path.is_file():
        raise ExportError(f"{path} is no file that could be replaced.")
