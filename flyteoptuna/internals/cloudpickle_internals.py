"""Unpickle without changing the classes of this process."""

from __future__ import annotations

import io
import pickle
import sys
import weakref
from collections.abc import Mapping
from typing import Any

_CLOUDPICKLE = "cloudpickle.cloudpickle"

# Classes that pickles have brought into this process, by `id`.
_loaded: weakref.WeakValueDictionary[int, type] = weakref.WeakValueDictionary()


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: bytes | bytearray) -> None:
        super().__init__(io.BytesIO(data))
        # Private, because no public function tells whether the process has the class of a pickle already.
        tracker: Mapping[str, type] = getattr(sys.modules.get(_CLOUDPICKLE), "_DYNAMIC_CLASS_TRACKER_BY_ID", {})
        self._existing = {id(kind): kind for kind in list(tracker.values())}

    def find_class(self, module: str, name: str) -> Any:
        value = super().find_class(module, name)
        # The module has another name before cloudpickle 3.
        if name != "_class_setstate" or module.partition(".")[0] != "cloudpickle":
            return value

        def fill(kind: type, state: Any) -> type:
            if id(kind) in self._existing and _loaded.get(id(kind)) is not kind:
                return kind
            _loaded[id(kind)] = kind
            filled: type = value(kind, state)
            return filled

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
