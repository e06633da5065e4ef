"""The file of a study: a zip with all results as JSON, and with its sampler, pruner and callbacks pickled."""

from __future__ import annotations

import io
import reprlib
import warnings
import zipfile
import zlib
from typing import Any

import cloudpickle
import optuna
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler

from flyteoptuna.errors import StudyFormatError, UnpicklableError
from flyteoptuna.internals.cloudpickle_internals import unpickle
from flyteoptuna.internals.garbage_collection import paused_collection
from flyteoptuna.internals.optuna_internals import declared_distributions, study_attributes, study_id
from flyteoptuna.storage import file_limits as limits
from flyteoptuna.storage.read_results import FORMAT_VERSION, parse_results, writer_versions
from flyteoptuna.storage.search_study import SearchStudy
from flyteoptuna.storage.write_trials import END, START, encode_object, encode_trials
from flyteoptuna.values.text import exception_line

_MEMBERS = _JSON, _SAMPLER, _PRUNER, _CALLBACKS = "study.json", "sampler.pickle", "pruner.pickle", "callbacks.pickle"
_ENCRYPTED_FLAG = 0x1
_CHUNK_BYTES = 1 << 20
# Compression level of zlib; level 6 takes three times as long, and saves a twelfth of the bytes.
_COMPRESSION_LEVEL = 1


def dump_study(study: optuna.Study, *, pickles: bool = True) -> bytes:
    """Serialise a study as a zip: results as JSON, and sampler, pruner and callbacks pickled.

    The same study always gives the same bytes. A finished trial is encoded once, and later changes in place are not
    saved. Tuples in attributes become lists, and keys of dictionaries strings, as in optuna's storages with JSON.
    Without ``pickles`` the file is for ``read_study`` alone.

    Raises:
        UnpicklableError: the sampler, the pruner or a callback cannot be pickled; names it.
        TypeError: JSON cannot hold an attribute or a choice; names the trial and the key.
        ValueError: the study is too large to be read back.
    """
    members = {_JSON: _encode_study(study)}
    if pickles:
        members |= {_SAMPLER: _pickle("sampler", study.sampler), _PRUNER: _pickle("pruner", study.pruner)}
        if callbacks := list(getattr(study, "callbacks", ())):
            members[_CALLBACKS] = _pickle("callbacks", callbacks)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            _add_member(archive, name, content)
    if buffer.tell() > limits.MAX_BYTES:
        raise ValueError(f"The study is too large to be read: {buffer.tell()} bytes, {limits.MAX_BYTES} are allowed.")
    return buffer.getvalue()


def _pickle(name: str, value: Any) -> bytes:
    try:
        return bytes(cloudpickle.dumps(value))
    except Exception as error:
        raise UnpicklableError(
            f"The `{name}` of a study must be what cloudpickle can carry to the next pod, but cannot be pickled any "
            f"more: {exception_line(error)}."
        ) from error


def _add_member(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    if len(content) > limits.MAX_BYTES:
        raise ValueError(f"{name} is too large to be read: {len(content)} bytes, {limits.MAX_BYTES} are allowed.")
    # A member beyond the ratio that a reader allows is stored without compression.
    dense = len(content) > limits.FREE_BYTES and limits.exceeds_ratio(
        len(content), len(zlib.compress(content, _COMPRESSION_LEVEL))
    )
    info = zipfile.ZipInfo(name)
    # The defaults depend on the platform.
    info.create_system, info.external_attr = 3, 0o644 << 16
    archive.writestr(info, content, zipfile.ZIP_STORED if dense else zipfile.ZIP_DEFLATED, _COMPRESSION_LEVEL)


def restore_study(data: bytes) -> SearchStudy:
    """Restore a study from ``dump_study``, with its ids. It unpickles: load only files that you trust.

    With the version of optuna that wrote the file, the study suggests exactly what the original would. With another
    version it has all results, a TPESampler with a seed from the file's content, and a NopPruner if the pruner cannot
    be unpickled.

    Raises:
        StudyFormatError: the bytes are not a study, or have a newer format, or a pickle cannot be restored. All else
            is checked before anything is unpickled.

    Warns:
        UserWarning: another version of optuna wrote the file.
    """
    study, versions, members = _read_members(data, pickles=True)
    for name in (_SAMPLER, _PRUNER):
        if name not in members:
            raise StudyFormatError(f"Not a study file to go on with: it has no {name}.")
    if versions["optuna"] == optuna.__version__:
        study.sampler = _unpickle_member(members, _SAMPLER, BaseSampler, versions)
        study.pruner = _unpickle_member(members, _PRUNER, BasePruner, versions)
    else:
        _replace_strategies(study, members, versions)
    if _CALLBACKS in members:
        study.callbacks = _unpickle_member(members, _CALLBACKS, list, versions)
        if not all(map(callable, study.callbacks)):
            raise StudyFormatError(f"{_CALLBACKS} holds what cannot be called.")
    return study


def read_study(data: bytes) -> SearchStudy:
    """Read the results of a study, with a new sampler and pruner. It unpickles nothing, so it is safe for any file.

    Raises:
        StudyFormatError: the bytes are not a study, or have a newer format.
    """
    return _read_members(data, pickles=False)[0]


def _encode_study(study: optuna.Study) -> bytes:
    trials = study.get_trials(deepcopy=False)
    tables, rows, written = encode_trials(trials, getattr(study, "written", None))
    user_attrs, system_attrs = study_attributes(study)
    record = {
        "format": FORMAT_VERSION,
        **writer_versions(),
        "name": study.study_name,
        "study_id": study_id(study),
        "directions": [d.name for d in study.directions],
        "stopped": bool(getattr(study, "stopped", False)),
        "user_attrs": user_attrs,
        "system_attrs": system_attrs,
        "declared": {name: tables.distribution(name, d) for name, d in declared_distributions(study).items()},
        "distributions": tables.distributions_json,
        "spaces": tables.spaces_json,
    }
    text = b"".join([encode_object("", record).removesuffix(b"}"), START, rows, END])
    if excess := limits.find_excess(text):
        raise ValueError(f"Study {study.study_name!r} is too large for a file: {excess}.")
    if isinstance(study, SearchStudy):
        study.written = written
    return text


@paused_collection()
def _read_members(data: bytes, *, pickles: bool) -> tuple[SearchStudy, dict[str, str], dict[str, bytearray]]:
    if len(data) > limits.MAX_BYTES:
        raise StudyFormatError(f"The file is too large: {len(data)} bytes, where {limits.MAX_BYTES} are allowed.")
    if problem := limits.check_directory(data):
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
            text = _read_member(archive, _JSON, len(data))
            study, versions = parse_results(text)
            if unknown := sorted(set(names) - set(_MEMBERS)):
                raise StudyFormatError(f"Not a study file: a zip with unknown members, {reprlib.repr(unknown)}.")
            wanted = [name for name in _MEMBERS[1:] if name in names] if pickles else []
            members = {_JSON: text, **{name: _read_member(archive, name, len(data)) for name in wanted}}
            return study, versions, members
    except StudyFormatError:
        raise
    except Exception as error:
        # `zipfile` raises a dozen types of exceptions for a damaged zip.
        raise StudyFormatError(
            f"Not a study file: {len(data)} bytes, {exception_line(error, limits.MAX_REASON)}"
        ) from error


def _read_member(archive: zipfile.ZipFile, name: str, length: int) -> bytearray:
    info = archive.getinfo(name)
    if info.flag_bits & _ENCRYPTED_FLAG or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise StudyFormatError(f"{name} is encrypted, or compressed by method {info.compress_type}, not by deflate.")
    if info.file_size > limits.MAX_BYTES:
        raise StudyFormatError(f"{name} is too large: {info.file_size} bytes, where {limits.MAX_BYTES} are allowed.")
    if limits.exceeds_ratio(info.file_size, min(info.compress_size, length)):
        raise StudyFormatError(
            f"{name} is too large: {info.compress_size} bytes become {info.file_size}, where {limits.MAX_RATIO} "
            "for one are allowed."
        )
    content = bytearray()
    with archive.open(info) as stream:
        # Without a size, `read` would inflate everything, whatever size the zip declares.
        while chunk := stream.read(min(_CHUNK_BYTES, info.file_size + 1 - len(content))):
            content += chunk
    if name == _JSON and (excess := limits.find_excess(content)):
        raise StudyFormatError(f"{name} is too large: {excess}.")
    if len(content) != info.file_size:
        raise StudyFormatError(f"{name} is damaged: {len(content)} bytes instead of {info.file_size}.")
    return content


def _unpickle_member(members: dict[str, bytearray], name: str, kind: type[Any], versions: dict[str, str]) -> Any:
    try:
        restored: Any = unpickle(members[name])
    except Exception as error:
        wrote, here = (", ".join(f"{k} {v}" for k, v in of.items()) for of in (versions, writer_versions()))
        raise StudyFormatError(
            f"{name} cannot be restored: {exception_line(error, limits.MAX_REASON)}. It was written with {wrote}; "
            f"this is {here}."
        ) from error
    if not isinstance(restored, kind):
        raise StudyFormatError(f"{name} holds a {type(restored).__name__}, not a {kind.__name__}.")
    return restored


def _replace_strategies(study: SearchStudy, members: dict[str, bytearray], versions: dict[str, str]) -> None:
    seed = zlib.crc32(members[_JSON], zlib.crc32(members[_SAMPLER]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.sampler = optuna.samplers.TPESampler(constant_liar=True, seed=seed)
    message = (
        f"Study {study.study_name!r} was saved under optuna {versions['optuna']}, and this is optuna "
        f"{optuna.__version__}: every result is kept, but the sampler cannot be restored, and the search goes on with "
        f"TPESampler(constant_liar=True, seed={seed})"
    )
    try:
        study.pruner = _unpickle_member(members, _PRUNER, BasePruner, versions)
    except StudyFormatError:
        message += ", and without its pruner"
    warnings.warn(f"{message}.", UserWarning, stacklevel=3)
