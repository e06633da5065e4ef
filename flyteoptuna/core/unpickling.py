"""Unpickling that leaves the classes of this process as they are."""

from __future__ import annotations

import io
import pickle
import sys
import weakref
from collections.abc import Mapping
from typing import Any

_CLOUDPICKLE = "cloudpickle.cloudpickle"

_loaded: weakref.WeakValueDictionary[int, type] = weakref.WeakValueDictionary()
"""The classes that have come into this process by a pickle, by their ids."""


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: bytes | bytearray) -> None:
        super().__init__(io.BytesIO(data))
        # Private, as nothing public tells whether a pickle's class is one that the process has already.
        tracker: Mapping[str, type] = getattr(sys.modules.get(_CLOUDPICKLE), "_DYNAMIC_CLASS_TRACKER_BY_ID", {})
        self._held = {id(kind): kind for kind in list(tracker.values())}

    def find_class(self, module: str, name: str) -> Any:
        found = super().find_class(module, name)
        # In a module of another name before cloudpickle 3.
        if name != "_class_setstate" or module.partition(".")[0] != "cloudpickle":
            return found

        def fill(kind: type, state: Any) -> type:
            if id(kind) in self._held and _loaded.get(id(kind)) is not kind:
                return kind
            _loaded[id(kind)] = kind
            filled: type = found(kind, state)
            return filled

        return fill


def unpickled(data: bytes | bytearray) -> Any:
    """What a pickle of cloudpickle's holds.

    It holds the classes of a script, of a notebook and of functions by value, with all that was in them when it was
    written. Where this process has made such a class itself, that one is taken as it is now, and nothing is put back
    in it; elsewhere it is made, or filled anew, as by ``cloudpickle.loads``.

    Args:
        data: the pickle, which may run any code: load only what you trust.
    """
    return _Unpickler(data).load()
