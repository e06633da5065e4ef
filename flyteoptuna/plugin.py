"""What flytekit loads at its start: ``optuna.Study`` becomes a Flyte type, and an option of ``pyflyte run``."""

from __future__ import annotations

import importlib
from types import ModuleType

import wrapt


def _register(module: ModuleType) -> None:
    importlib.import_module("flyteoptuna.flyte.study_type")


def _options(module: ModuleType) -> None:
    importlib.import_module("flyteoptuna.cli.pyflyte_option").install(module)


# Every pod loads flytekit's plugins, but the one of a trial must not pay for optuna.
wrapt.register_post_import_hook(_register, "optuna")
wrapt.register_post_import_hook(_options, "flytekit.clis.sdk_in_container.run")
