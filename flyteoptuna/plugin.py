"""Plugin that flytekit loads at start-up: adds ``optuna.Study`` as a type, and an option of ``pyflyte run``."""

from __future__ import annotations

import importlib
from types import ModuleType

import wrapt


def _register_study_type(module: ModuleType) -> None:
    importlib.import_module("flyteoptuna.flyte.study_type")


def _add_pyflyte_option(module: ModuleType) -> None:
    importlib.import_module("flyteoptuna.cli.pyflyte_option").install(module)


# On import of optuna, not at once: every pod loads this plugin, and a trial's pod must not pay for optuna.
wrapt.register_post_import_hook(_register_study_type, "optuna")
wrapt.register_post_import_hook(_add_pyflyte_option, "flytekit.clis.sdk_in_container.run")
