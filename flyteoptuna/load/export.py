"""Export a study to a database, a journal or a table."""

from __future__ import annotations

import copy
import csv
import importlib.util
import logging
import os
import sys
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from flyteoptuna.errors import ExportError, TargetExistsError
from flyteoptuna.load import table_cells
from flyteoptuna.logs import optuna_log_level
from flyteoptuna.streams import is_terminal, tolerant_stream
from flyteoptuna.values.atomic_write import atomic_write, find_target
from flyteoptuna.values.did_you_mean import names_arguments
from flyteoptuna.values.text import exception_line
from flyteoptuna.values.tracebacks import public

if TYPE_CHECKING:
    import optuna


DATABASES = ("sqlite", "mysql", "postgresql")
# End of the message about a target that exists, in Python and on the command line.
_OVERWRITE = "or overwrite it: `overwrite=True`, `--overwrite`."

_Writer = Callable[["optuna.Study", str, str, bool], str]


@public
@names_arguments
def export(
    study: optuna.Study, target: str | os.PathLike[str], *, name: str | None = None, overwrite: bool = False
) -> str:
    """Export a study for other tools, with the number, state, values, parameters and attributes of every trial.

    The locations of a trial's outputs become user attributes with their names, unless the trial has such an attribute.
    In a CSV file, an apostrophe precedes text that a spreadsheet would read as a formula.

    Args:
        study: any study of Optuna, in any storage.
        target: a database URL (``sqlite:///study.db``, ``mysql://...``, ``postgresql://...``); a file name ending in
            ``.log`` or ``.journal``, for a journal of Optuna; or in ``.csv`` or ``.parquet``, for a table.
        name: name of the study in the database or journal. Default: the name of the study.
        overwrite: whether to replace an existing file, or a study of the same name in the database. The old content
            is replaced when the new one is complete.

    Returns:
        The target, without a password.

    Raises:
        TypeError: an argument of the wrong type.
        ValueError: an unsupported kind of target.
        TargetExistsError: the target exists, without ``overwrite``. An ``ExportError`` and a ``FileExistsError``.
        ExportError: the study cannot be written. The target is unchanged.
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
    write = find_writer(text)
    try:
        with optuna_log_level(logging.ERROR), warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return write(_prepare(study), text, name or study.study_name, overwrite)
    except ExportError:
        raise
    except Exception as error:
        raise _failure(error) from error


def _failure(error: Exception, place: str = "") -> ExportError:
    # Drivers and file systems raise any type. SQLAlchemy adds its statement to the driver's error, `orig`.
    cause = getattr(error, "orig", None) or error
    # The file system fails whatever is written.
    note = f" ({place})" if place and not isinstance(cause, OSError) else ""
    return ExportError(f"The study cannot be written there: {exception_line(cause)}{note}")


def _prepare(study: optuna.Study) -> optuna.Study:
    """A study whose trials have the locations of their outputs as user attributes, and times that Optuna can store."""
    from flyteoptuna.flyte.outputs import output_locations
    from flyteoptuna.storage.write_trials import to_local_time
    from flyteoptuna.study.shared.shared_study import copy_with_trials

    trials, changed = study.get_trials(deepcopy=False), False
    for position, trial in enumerate(trials):
        locations, times = output_locations(trial), (trial.datetime_start, trial.datetime_complete)
        storable = tuple(None if time is None else to_local_time(time) for time in times)
        if locations or storable != times:
            prepared = trials[position] = copy.copy(trial)
            prepared.user_attrs = {**locations, **trial.user_attrs}
            prepared.datetime_start, prepared.datetime_complete = storable
            changed = True
    return copy_with_trials(study, trials) if changed else study


def find_writer(target: str) -> _Writer:
    """The function that writes a study to this kind of target, and returns the target without a password.

    Raises:
        ValueError: an unsupported kind of target.
    """
    scheme, separator, _ = target.partition("://")
    if separator:
        if scheme.partition("+")[0] in DATABASES:
            return _write_database
        raise ValueError(
            f"A study is written to a file here or a database ({', '.join(DATABASES)}), but got {scheme}://."
        )
    writers: dict[str, _Writer] = {
        ".log": _write_journal,
        ".journal": _write_journal,
        ".csv": _write_table,
        ".parquet": _write_table,
    }
    suffix = Path(target).suffix.lower()
    if suffix not in writers:
        raise ValueError(
            f"A study is written to a database, as sqlite:///study.db, or to a file that ends in {', '.join(writers)}, "
            f"but got {target!r}."
        )
    return writers[suffix]


def _write_database(study: optuna.Study, url: str, name: str, overwrite: bool) -> str:
    import sqlalchemy
    from optuna.storages import RDBStorage

    parsed = sqlalchemy.make_url(url)
    with _guard_sqlite_file(parsed.database, sqlite=parsed.drivername.startswith("sqlite")):
        storage = RDBStorage(url)
        try:
            existing = None
            with suppress(KeyError):
                existing = storage.get_study_id_from_name(name)
            if existing is not None and not overwrite:
                raise TargetExistsError(f"The database has a study {name!r}: give another name, {_OVERWRITE}")
            _replace_study(study, storage, name, existing)
        finally:
            storage.engine.dispose()
    return str(parsed)


@contextmanager
def _guard_sqlite_file(path: str | None, *, sqlite: bool) -> Iterator[None]:
    """Refuse an SQLite URL without a usable file, and remove a new file if the body raises."""
    if sqlite and path in {None, "", ":memory:"}:
        raise ExportError("A database in memory ends with this process: name a file, as in sqlite:///study.db")
    if not sqlite or not path or path.startswith("file:"):
        yield
        return
    _check_file_target(path)
    existed = os.path.exists(path)
    try:
        yield
    except BaseException:
        if not existed:
            with suppress(OSError):
                os.remove(path)
        raise


def _replace_study(study: optuna.Study, storage: optuna.storages.RDBStorage, name: str, existing: int | None) -> None:
    import sqlalchemy

    # Under another name until it is complete, because readers cannot recognize half a study.
    temporary_name = f"{name[:100]} (being written, {uuid.uuid4().hex})"
    try:
        study_id = _copy_study(study, storage, temporary_name)
        if existing is not None:
            storage.delete_study(existing)
        with storage.engine.begin() as connection:
            table = sqlalchemy.table("studies", sqlalchemy.column("study_id"), sqlalchemy.column("study_name"))
            connection.execute(sqlalchemy.update(table).where(table.c.study_id == study_id).values(study_name=name))
    except BaseException:
        with suppress(Exception):
            storage.delete_study(storage.get_study_id_from_name(temporary_name))
        raise


def _write_journal(study: optuna.Study, target: str, name: str, overwrite: bool) -> str:
    from optuna.storages.journal import JournalFileBackend, JournalStorage

    with _replace_file(target, overwrite) as path:
        _copy_study(study, JournalStorage(JournalFileBackend(str(path))), name)
    return target


def _copy_study(study: optuna.Study, storage: optuna.storages.BaseStorage, name: str) -> int:
    from rich.console import Console
    from rich.progress import track

    from flyteoptuna.internals.optuna_internals import copy_study

    study_id = copy_study(study, storage, name)
    trials, console = study.get_trials(deepcopy=False), Console(file=tolerant_stream(sys.stderr))
    for trial in track(trials, "Writing", console=console, transient=True, disable=not is_terminal(sys.stderr)):
        try:
            storage.create_new_trial(study_id, template_trial=trial)
        except Exception as error:
            raise _failure(error, f"trial {trial.number}") from error
    return study_id


def _write_table(study: optuna.Study, target: str, name: str, overwrite: bool) -> str:
    if importlib.util.find_spec("pandas") is None:
        raise ExportError("A table needs pandas: pip install pandas")
    value = "value" if len(study.directions) == 1 else "values"
    times = ("datetime_start", "datetime_complete", "duration")
    columns = ("number", "state", value, *times, "params", "user_attrs", "intermediate_values", "system_attrs")
    try:
        frame = study.trials_dataframe(columns)
    except UnicodeError as error:
        raise _failure(error, table_cells.find_text_beyond_utf8(study)) from error
    parquet = target.lower().endswith(".parquet")
    for position, column_name in enumerate(frame.columns):
        # By position, because column names may repeat. Only columns of objects need encoding.
        column = frame.iloc[:, position]
        if column.dtype.kind == "O":
            try:
                frame.isetitem(position, table_cells.encode_column(list(column), typed=parquet))
            except Exception as error:
                raise _failure(error, f"column {column_name}") from error
    with _replace_file(target, overwrite) as path:
        if parquet:
            frame.columns = [table_cells.printable(str(column)) for column in frame.columns]
            frame.to_parquet(path, index=False)
        else:
            frame.columns = [table_cells.escape_formulas(str(column)) for column in frame.columns]
            # Quoted, because an unquoted carriage return starts a row.
            frame.to_csv(path, index=False, quoting=csv.QUOTE_NONNUMERIC, errors="backslashreplace")
    return target


@contextmanager
def _replace_file(target: str, overwrite: bool) -> Iterator[Path]:
    """A path to write to; the file replaces the target when the body has succeeded."""
    _check_file_target(target)
    if os.path.exists(target) and not overwrite:
        raise TargetExistsError(f"{target} exists: give another one, {_OVERWRITE}")
    with atomic_write(target) as path:
        yield path


def _check_file_target(path: str) -> None:
    try:
        find_target(path)
    except OSError as error:
        raise ExportError(f"{error.strerror} {error.filename}" if error.filename else str(error)) from error
