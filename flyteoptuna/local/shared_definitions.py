"""Classes of the calling process, as the same classes under the same names in its worker processes.

What one process pickles is then of the other's class. A worker imports the script that runs as ``__main__`` in the
calling process under the name of its module, so that code below ``if __name__ == "__main__"`` does not run, and makes
it its own ``__main__``. Where the task is sent by value, its module's definitions are sent too.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

import cloudpickle

from flyteoptuna.errors import TaskNotLoadedError
from flyteoptuna.internals.cloudpickle_internals import adopt_class, adopt_loaded_classes, class_identifier, unpickle

MAIN = "__main__"

_former_mains: list[ModuleType] = []  # Python may clear a module that nothing refers to


class MainScript(NamedTuple):
    """The script that runs as ``__main__`` in the calling process."""

    module: str  # name by which flytekit knows it
    imported: str  # name by which Python imports it
    file: str
    classes: dict[str, str]  # identifiers of its classes, by qualified name

    @classmethod
    def of_this_process(cls, module: str) -> MainScript | None:
        """Describe the script of this process, which flytekit knows as ``module``; None if it is in no file."""
        main = sys.modules[MAIN]
        file = getattr(main, "__file__", None)
        if not isinstance(file, str):
            return None
        imported = getattr(getattr(main, "__spec__", None), "name", None) or module
        identifiers = {name: class_identifier(kind) for name, kind in _classes(main).items()}
        return cls(module, imported, os.path.realpath(file), identifiers)

    def root(self) -> str:
        """Folder from which the script is imported."""
        folder = os.path.dirname(self.file)
        for _ in range(self.imported.count(".")):
            folder = os.path.dirname(folder)
        return folder

    def adopt(self) -> None:
        """Import the script in this worker process, and make it the ``__main__`` of the process.

        Raises:
            BaseException: the script is not found, or raises when it is imported.
        """
        script = importlib.import_module(self.imported)
        if script is not sys.modules[MAIN]:
            file = getattr(script, "__file__", None) or ""
            if os.path.realpath(file) != self.file:
                raise TaskNotLoadedError(f"{self.imported} is {file} in a worker process, but {self.file} here")
            for definition in _definitions(script, script.__name__):
                with suppress(Exception):
                    definition.__module__ = MAIN
            script.__name__ = MAIN
            _replace_main(script)
            sys.modules[self.module] = script
            # For objects that still have the former name: the calling process must not import the script.
            cloudpickle.register_pickle_by_value(script)
        for name, kind in _classes(script).items():
            if name in self.classes:
                adopt_class(kind, self.classes[name])


def pickle_definitions(module: ModuleType) -> dict[str, bytes]:
    """Pickles of the names in a module that annotations may use: classes, modules and types of ``typing``."""
    pickles = {}
    for name, value in list(vars(module).items()):
        if issubclass(type(value), (type, ModuleType)) or type(value).__module__ == "typing":
            # Those that cannot be pickled may not be needed.
            with suppress(Exception):
                pickles[name] = cloudpickle.dumps(value)
    return pickles


def publish_definitions(pickles: Mapping[str, Mapping[str, bytes]]) -> None:
    """Make the definitions of modules, by name, importable in this worker process.

    Classes that a task has brought stay as they are, because their methods share globals with it.
    """
    adopt_loaded_classes()
    for module_name, definitions in pickles.items():
        if module_name == MAIN:
            _replace_main(ModuleType(MAIN))
        elif module_name in sys.modules:
            continue
        module = sys.modules.setdefault(module_name, ModuleType(module_name))
        for name, data in definitions.items():
            with suppress(Exception):
                setattr(module, name, unpickle(data))
    adopt_loaded_classes()


def _replace_main(module: ModuleType) -> None:
    _former_mains.append(sys.modules[MAIN])
    sys.modules[MAIN] = module


def _classes(module: ModuleType) -> dict[str, type]:
    return {each.__qualname__: each for each in _definitions(module, module.__name__) if isinstance(each, type)}


def _definitions(within: ModuleType | type, module: str) -> Iterator[Any]:
    """Functions and classes that a module defines at its top or in the body of such a class."""
    for name, value in list(vars(within).items()):
        inside = f"{within.__qualname__}.{name}" if isinstance(within, type) else name
        if (
            issubclass(type(value), (type, FunctionType))
            and value.__module__ == module
            and value.__qualname__ == inside
        ):
            yield value
            if isinstance(value, type):
                yield from _definitions(value, module)
