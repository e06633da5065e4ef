"""Pickle classes whole, unpickle without changing those of this process, and share them with worker processes."""

from __future__ import annotations

import copyreg
import dataclasses
import enum
import io
import pickle
import sys
import weakref
from collections.abc import Mapping
from typing import Any

from cloudpickle import cloudpickle

# Classes that pickles have brought into this process, by `id`.
_loaded: weakref.WeakValueDictionary[int, type] = weakref.WeakValueDictionary()
# Classes of this process that another process has too.
_adopted: weakref.WeakSet[type] = weakref.WeakSet()


# Objects that `dataclasses` compares by identity, and that a pickled class refers to. Pickles would copy them.
_SENTINEL_NAMES = {type(getattr(dataclasses, name)): name for name in ("MISSING", "KW_ONLY", "_HAS_DEFAULT_FACTORY")}


def _sentinel_name(sentinel: Any) -> str:
    # An object whose reducer returns a name is pickled as that name of its module.
    return _SENTINEL_NAMES[type(sentinel)]


for _sentinel_type in _SENTINEL_NAMES:
    copyreg.pickle(_sentinel_type, _sentinel_name)

# It is in another module before cloudpickle 3.
_setters: Any = cloudpickle if hasattr(cloudpickle, "_class_setstate") else sys.modules["cloudpickle.cloudpickle_fast"]
_fill_always = _setters._class_setstate


def class_identifier(kind: type) -> str:
    """Identifier of a class in pickles that contain it by value."""
    identifier: str = cloudpickle._get_or_create_tracker_id(kind)
    return identifier


def adopt_class(kind: type, identifier: str) -> None:
    """Let a class stand for a class of another process, whose identifier is given, in pickles of both processes."""
    _adopted.add(kind)
    cloudpickle._lookup_class_or_track(identifier, kind)


def adopt_loaded_classes() -> None:
    """Adopt all classes that ``unpickle`` has brought into this process."""
    _adopted.update(_loaded.values())


def protect_readers() -> None:
    """Let pickles that this process makes leave the classes of a process alone that has them already."""
    _setters._class_setstate = fill_class


def fill_class(kind: type, state: Any) -> type:
    """Fill a class that a pickle contains by value, unless a module of this process defines it.

    Pickles refer to this function: its path is a wire format, which must not change.
    """
    return _fill(kind, state, stays=_is_defined_here(kind))


def _fill(kind: type, state: Any, *, stays: bool) -> type:
    """Fill a class from a pickle; one that ``stays`` is left as it is."""
    if kind in _adopted:
        _update_attributes(kind, state)
    elif not stays:
        _loaded[id(kind)] = kind
        _fill_always(kind, state)
    return kind


def _is_defined_here(kind: type) -> bool:
    value: Any = sys.modules.get(kind.__module__)
    for name in kind.__qualname__.split("."):
        value = getattr(value, name, None)
    return value is kind


def _update_attributes(kind: type, state: tuple[Mapping[str, Any], Any]) -> None:
    """Take over data from the other process's class; methods stay those of this process, with its globals."""
    for name, value in {} if isinstance(kind, enum.EnumMeta) else state[0].items():
        if not name.startswith(("__", "_abc_")) and not isinstance(value, type) and not hasattr(value, "__get__"):
            setattr(kind, name, value)


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: bytes | bytearray) -> None:
        super().__init__(io.BytesIO(data))
        # Private, because no public function tells whether the process has the class of a pickle already.
        tracker: Mapping[str, type] = cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID
        self._existing = {id(kind): kind for kind in list(tracker.values())}

    def find_class(self, module: str, name: str) -> Any:
        value = super().find_class(module, name)
        if value is not _fill_always and value is not fill_class:
            return value

        def fill(kind: type, state: Any) -> type:
            return _fill(kind, state, stays=id(kind) in self._existing and _loaded.get(id(kind)) is not kind)

        return fill


def unpickle(data: bytes | bytearray) -> Any:
    """Load a pickle of cloudpickle.

    It contains the classes of scripts, notebooks and functions by value, with their attributes at the time of pickling.
    If this process has defined such a class itself, the present class is used, and its attributes stay. Otherwise the
    class is created or updated as by ``cloudpickle.loads``.

    Args:
        data: the pickle. It can run any code, so load only pickles that you trust.
    """
    return _Unpickler(data).load()
