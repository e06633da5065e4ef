"""A study for other tools: a database, a journal, a table."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import optuna


class ExportError(RuntimeError):
    """A study that cannot be written where it should be; says why, and what to do."""


DATABASES = ("sqlite", "mysql", "postgresql")


def writer(target: str) -> Callable[[optuna.Study, str, str, bool], str]:
    """What writes a study to such a target; called with the study, the target, a name and whether to overwrite.

    It returns the target as it may be shown, without a password.
    """
    scheme, separator, _ = target.partition("://")
    if separator:
        if scheme.partition("+")[0] in DATABASES:
            return _to_database
        raise ValueError(f"`--to` must be a file here or a database ({', '.join(DATABASES)}), but got {scheme}://.")
    writers = {".log": _to_journal, ".journal": _to_journal, ".csv": _to_table, ".parquet": _to_table}
    suffix = Path(target).suffix.lower()
    if suffix not in writers:
        raise ValueError(f"`--to` must be a database URL or end in {', '.join(writers)}, but got {target!r}.")
    return writers[suffix]


def _to_database(study: optuna.Study, url: str, name: str, overwrite: bool) -> str:
    import sqlalchemy
    from optuna.storages import RDBStorage

    storage = RDBStorage(url)
    with suppress(KeyError):
        existing = storage.get_study_id_from_name(name)
        if not overwrite:
            raise ExportError(f"The database has a study {name!r}: give another --name, or --overwrite it.")
        storage.delete_study(existing)
    try:
        _copy(study, storage, name)
    except BaseException:
        # Half a study would be taken for a whole one.
        with suppress(Exception):
            storage.delete_study(storage.get_study_id_from_name(name))
        raise
    return str(sqlalchemy.make_url(url))


def _to_journal(study: optuna.Study, target: str, name: str, overwrite: bool) -> str:
    from optuna.storages.journal import JournalFileBackend, JournalStorage

    with _replacing(target, overwrite) as path:
        _copy(study, JournalStorage(JournalFileBackend(path)), name)
    return target


def _copy(study: optuna.Study, storage: optuna.storages.BaseStorage, name: str) -> None:
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


def _to_table(study: optuna.Study, target: str, name: str, overwrite: bool) -> str:
    if importlib.util.find_spec("pandas") is None:
        raise ExportError("A table needs pandas: pip install pandas")
    value = "value" if len(study.directions) == 1 else "values"
    times = ("datetime_start", "datetime_complete", "duration")
    frame = study.trials_dataframe(
        ("number", "state", value, *times, "params", "user_attrs", "intermediate_values", "system_attrs")
    )
    parquet = target.lower().endswith(".parquet")
    for column in frame.columns:
        # In a file of typed columns, those of several types are text, as are what only Python has.
        kinds = {type(v) for v in frame[column] if v is not None and v == v}
        if kinds & {dict, list, tuple} or (parquet and len(kinds) > 1):
            frame[column] = [json.dumps(v) if v is not None and v == v else None for v in frame[column]]
    with _replacing(target, overwrite) as path:
        frame.to_parquet(path, index=False) if parquet else frame.to_csv(path, index=False)
    return target


@contextmanager
def _replacing(target: str, overwrite: bool) -> Iterator[str]:
    """A path to write to, whose file becomes the target when all has gone well."""
    if Path(target).exists() and not overwrite:
        raise ExportError(f"{target} exists: give another one, or --overwrite it.")
    path = f"{target}.{os.getpid()}.part"
    try:
        yield path
        os.replace(path, target)
    finally:
        with suppress(FileNotFoundError):
            os.remove(path)
