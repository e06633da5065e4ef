"""The file of a study: a zip of JSON, which holds every result, and of pickles beside it."""

from __future__ import annotations

import gc
import io
import reprlib
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import cloudpickle
import optuna
from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial

from flyteoptuna.core.plain_values import said
from flyteoptuna.core.unpickling import unpickled
from flyteoptuna.storage import file_limits as limits
from flyteoptuna.storage.memory import SearchStudy, in_memory
from flyteoptuna.storage.read_results import FORMAT, Results, StudyFormatError, decode, reason, versions
from flyteoptuna.storage.write_trials import END, START, encoded, write

_JSON, _SAMPLER, _PRUNER, _CALLBACKS = "study.json", "sampler.pickle", "pruner.pickle", "callbacks.pickle"

_MEMBERS = (_JSON, _SAMPLER, _PRUNER, _CALLBACKS)

_ENCRYPTED = 0x1

_CHUNK = 1 << 20

_LEVEL = 1
"""Of zlib, for the JSON has one number after another; level 6 takes three times as long to save a twelfth."""


class UnpicklableError(TypeError):
    """A sampler, a pruner or callbacks that have become what cannot be pickled."""


def dumps(study: optuna.Study, *, pickles: bool = True) -> bytes:
    """A study as a file: its results as JSON, and its sampler, pruner and callbacks pickled beside them.

    The same study makes the same bytes, whenever it is saved. A finished trial is written once: what is then changed in
    place is not saved, as optuna would refuse the change. Tuples in attributes come back as lists, and the keys of
    dictionaries as strings, as from each of optuna's storages that keeps JSON.

    Args:
        study: any study, in any storage, with trials of any state.
        pickles: whether a search is to go on with it; without them the file is for :func:`read` alone.

    Returns:
        The bytes of a zip, for :func:`loads` and :func:`read`.

    Raises:
        UnpicklableError: what is beside the results cannot be pickled; names it.
        TypeError: an attribute or a choice that JSON cannot hold; names the trial and the key.
        ValueError: the study is too large to be read back.
    """
    members = {_JSON: _encode(study)}
    if pickles:
        members |= {_SAMPLER: _pickled("sampler", study.sampler), _PRUNER: _pickled("pruner", study.pruner)}
        if callbacks := list(getattr(study, "callbacks", ())):
            members[_CALLBACKS] = _pickled("callbacks", callbacks)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            _add(archive, name, content)
    if buffer.tell() > limits.MAX_BYTES:
        raise ValueError(f"The study is too large to be read: {buffer.tell()} bytes, {limits.MAX_BYTES} are allowed.")
    return buffer.getvalue()


def _pickled(name: str, value: Any) -> bytes:
    try:
        return bytes(cloudpickle.dumps(value))
    except Exception as error:
        raise UnpicklableError(
            f"The `{name}` of a study must be what cloudpickle can carry to the next pod, but cannot be pickled any "
            f"more: {said(error)}."
        ) from error


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    if len(content) > limits.MAX_BYTES:
        raise ValueError(f"{name} is too large to be read: {len(content)} bytes, {limits.MAX_BYTES} are allowed.")
    # What would inflate more than a reader lets it is not deflated.
    dense = len(content) > limits.FREE_BYTES and limits.inflates(len(content), len(zlib.compress(content, _LEVEL)))
    info = zipfile.ZipInfo(name)
    # Of their own accord these depend on the platform.
    info.create_system, info.external_attr = 3, 0o644 << 16
    archive.writestr(info, content, zipfile.ZIP_STORED if dense else zipfile.ZIP_DEFLATED, _LEVEL)


def loads(data: bytes) -> SearchStudy:
    """The study that :func:`dumps` wrote, ready to go on. It unpickles: load only what you trust.

    Under the version of optuna that wrote it, the study suggests exactly what the original would have. Under another
    one every result is kept, the sampler is replaced by a TPESampler whose seed is made of the file's content, and the
    pruner by a NopPruner if it cannot be unpickled.

    Args:
        data: the bytes of a file.

    Returns:
        The study, in memory, with the ids that it had.

    Raises:
        StudyFormatError: the bytes are not a study, or one of a newer format, or a pickle cannot be restored. Nothing
            is unpickled before everything else has been checked.

    Warns:
        UserWarning: the study was saved under another version of optuna.
    """
    with _uncollected():
        results, members = _open(data, pickles=True)
    for name in (_SAMPLER, _PRUNER):
        if name not in members:
            raise StudyFormatError(f"Not a study file to go on with: it has no {name}.")
    if results.versions["optuna"] == optuna.__version__:
        sampler: BaseSampler = _unpickle(members, _SAMPLER, BaseSampler, results)
        pruner: BasePruner = _unpickle(members, _PRUNER, BasePruner, results)
    else:
        sampler, pruner = _replaced(members, results)
    with _uncollected():
        study = _study(results, sampler, pruner)
    if _CALLBACKS in members:
        study.callbacks = _unpickle(members, _CALLBACKS, list, results)
        if not all(map(callable, study.callbacks)):
            raise StudyFormatError(f"{_CALLBACKS} holds what cannot be called.")
    return study


@contextmanager
def _uncollected() -> Iterator[None]:
    # What is made here has no cycles, and looking for them takes as long as making it.
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def read(data: bytes) -> optuna.Study:
    """The results of the study that :func:`dumps` wrote. Unpickles nothing, so that any file may be read.

    Args:
        data: the bytes of a file.

    Returns:
        A study, in memory, with every result, under a sampler and a pruner that are not the original's.

    Raises:
        StudyFormatError: the bytes are not a study, or one of a newer format.
    """
    with _uncollected():
        results, _ = _open(data, pickles=False)
        return _study(results, optuna.samplers.TPESampler(), optuna.pruners.NopPruner())


def _encode(study: optuna.Study) -> bytes:
    trials = study.get_trials(deepcopy=False)
    tables, rows, written = write(trials, getattr(study, "written", None))
    record = {
        "format": FORMAT,
        **versions(),
        "name": study.study_name,
        "study_id": study._study_id,
        "directions": [d.name for d in study.directions],
        "stopped": bool(getattr(study, "stopped", False)),
        "user_attrs": study._storage.get_study_user_attrs(study._study_id),
        "system_attrs": study._storage.get_study_system_attrs(study._study_id),
        "declared": {name: tables.distribution(name, d) for name, d in _declared(study, trials).items()},
        "distributions": tables.plain,
        "spaces": tables.numbers,
    }
    text = b"".join([encoded("", record).removesuffix(b"}"), START, rows, END])
    if excess := limits.oversize(text):
        raise ValueError(f"Study {study.study_name!r} is too large for a file: {excess}.")
    if isinstance(study, SearchStudy):
        study.written = written
    return text


def _declared(study: optuna.Study, trials: Sequence[FrozenTrial]) -> dict[str, BaseDistribution]:
    # An in-memory storage compares with the distributions that were suggested, others with those of any trial.
    if isinstance(study._storage, optuna.storages.InMemoryStorage):
        return study._storage._studies[study._study_id].param_distribution
    return {name: distribution for trial in trials for name, distribution in trial.distributions.items()}


def _open(data: bytes, *, pickles: bool) -> tuple[Results, dict[str, bytearray]]:
    if len(data) > limits.MAX_BYTES:
        raise StudyFormatError(f"The file is too large: {len(data)} bytes, where {limits.MAX_BYTES} are allowed.")
    if problem := limits.directory(data):
        raise StudyFormatError(f"Not a study file: {len(data)} bytes, {problem}.")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
            if len(set(names)) < len(names):
                raise StudyFormatError(
                    f"Not a study file: a zip with a member twice among {reprlib.repr(sorted(names))}."
                )
            if _JSON not in names:
                raise StudyFormatError(f"Not a study file: a zip without {_JSON}, with {reprlib.repr(sorted(names))}.")
            text = _member(archive, _JSON, len(data))
            results = decode(text)
            if unknown := sorted(set(names) - set(_MEMBERS)):
                raise StudyFormatError(f"Not a study file: a zip with unknown members, {reprlib.repr(unknown)}.")
            wanted = [name for name in _MEMBERS[1:] if name in names] if pickles else []
            return results, {_JSON: text, **{name: _member(archive, name, len(data)) for name in wanted}}
    except StudyFormatError:
        raise
    except Exception as error:
        # What damage makes of a zip, `zipfile` tells with a dozen types of exception.
        raise StudyFormatError(f"Not a study file: {len(data)} bytes, {reason(error)}") from error


def _member(archive: zipfile.ZipFile, name: str, length: int) -> bytearray:
    info = archive.getinfo(name)
    if info.flag_bits & _ENCRYPTED or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise StudyFormatError(f"{name} is encrypted, or compressed by method {info.compress_type}, not by deflate.")
    if info.file_size > limits.MAX_BYTES:
        raise StudyFormatError(f"{name} is too large: {info.file_size} bytes, where {limits.MAX_BYTES} are allowed.")
    if limits.inflates(info.file_size, min(info.compress_size, length)):
        raise StudyFormatError(
            f"{name} is too large: {info.compress_size} bytes become {info.file_size}, where {limits.MAX_RATIO} "
            "for one are allowed."
        )
    content, counter = bytearray(), limits.Counter()
    counted = name == _JSON and limits.has_room(info.file_size)
    with archive.open(info) as stream:
        # Reading without a size would inflate all there is, whatever size the zip declares.
        while chunk := stream.read(min(_CHUNK, info.file_size + 1 - len(content))):
            content += chunk
            if counted and (excess := counter.add(chunk)):
                raise StudyFormatError(f"{name} is too large: {excess}.")
    if len(content) != info.file_size:
        raise StudyFormatError(f"{name} is damaged: {len(content)} bytes instead of {info.file_size}.")
    return content


def _unpickle(members: dict[str, bytearray], name: str, kind: type[Any], results: Results) -> Any:
    try:
        found: Any = unpickled(members[name])
    except Exception as error:
        wrote, here = (", ".join(f"{k} {v}" for k, v in of.items()) for of in (results.versions, versions()))
        raise StudyFormatError(
            f"{name} cannot be restored: {reason(error)}. It was written with {wrote}; this is {here}."
        ) from error
    if not isinstance(found, kind):
        raise StudyFormatError(f"{name} holds a {type(found).__name__}, not a {kind.__name__}.")
    return found


def _replaced(members: dict[str, bytearray], results: Results) -> tuple[BaseSampler, BasePruner]:
    seed = zlib.crc32(members[_JSON], zlib.crc32(members[_SAMPLER]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(constant_liar=True, seed=seed)
    message = (
        f"Study {results.name!r} was saved under optuna {results.versions['optuna']}, and this is optuna "
        f"{optuna.__version__}: every result is kept, but the sampler cannot be restored, and the search goes on with "
        f"TPESampler(constant_liar=True, seed={seed})"
    )
    try:
        pruner: BasePruner = _unpickle(members, _PRUNER, BasePruner, results)
    except StudyFormatError:
        pruner = optuna.pruners.NopPruner()
        message += ", and without its pruner"
    warnings.warn(f"{message}.", UserWarning, stacklevel=3)
    return sampler, pruner


def _study(results: Results, sampler: BaseSampler, pruner: BasePruner) -> SearchStudy:
    storage = in_memory(results.name, results.directions, results.study_id, results.trials, results.declared)
    info: Any = storage._studies[results.study_id]
    info.user_attrs, info.system_attrs = results.user_attrs, results.system_attrs
    study = SearchStudy(study_name=results.name, storage=storage, sampler=sampler, pruner=pruner)
    study.stopped, study.written = results.stopped, results.written
    return study
