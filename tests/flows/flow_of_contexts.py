"""Objectives that look at flytekit's context, and at what stands around it."""

import dataclasses
import json
import os
import re
from pathlib import Path
from typing import Any

import flytekit as fl
import optuna
from flytekit.core.context_manager import FlyteContextManager
from flytekit.types.file import FlyteFile

from flyteoptuna import Optimizer, current_trial, outputs, suggest

X = suggest.float(0, 1)
# Depths of stacks, variables of each process alone, and objects whose parts are compared.
OTHER = (
    *("context.level", "context.origin_stackframe", "context.execution_state", "state.user_space_params"),
    *(f"environment.{name}_" for name in ("LOKY", "PYTEST", "FLYTEOPTUNA", "KMP", "OMP")),
)


def flytekits_class(value: object) -> str:
    """Name of an object's class, or of the class of flytekit that it is derived from."""
    kinds = [kind for kind in type(value).__mro__ if kind.__module__.startswith("flytekit.")]
    return (kinds or [type(value)])[0].__qualname__


def described(value: Any) -> str:
    """A value as text, without what is different in each call: random folders and addresses."""
    text = repr(value) if type(value).__repr__ is not object.__repr__ else flytekits_class(value)
    text = re.sub(r"/tmp/flyte[^/]*/|/tmp/[^']*?/(?=local_flytekit)", "/tmp/", text)
    return re.sub(r"0x[0-9a-f]+", "", re.sub(r"user_space\w*", "user_space", text))


def properties(value: Any) -> dict[str, Any]:
    """Public attributes of an object, those that raise with their exception."""
    found = {}
    for name in dir(value):
        if not name.startswith("_"):
            try:
                found[name] = getattr(value, name)
            except Exception as error:
                found[name] = error
    return {name: each for name, each in found.items() if not callable(each)}


def look() -> dict[str, str]:
    """Each attribute of flytekit's context, of its state, its parameters and their parts, and the environment."""
    ctx, params = FlyteContextManager.current_context(), fl.current_context()
    state = ctx.execution_state
    assert state is not None
    parts = {
        "context": {field.name: getattr(ctx, field.name) for field in dataclasses.fields(ctx)},
        "state": vars(state) | {"local": state.is_local_execution()},
        "params": properties(params),
        "builder": vars(params.builder()),
        "access": properties(ctx.file_access),
        "checkpoint": {"type": flytekits_class(params.checkpoint), "read": params.checkpoint.read()},
        "environment": dict(os.environ),
        "process": {"folder": os.getcwd()},
    }
    found = {f"{part}.{name}": described(each) for part, each in parts.items() for name, each in each.items()}
    return {name: text for name, text in found.items() if not name.startswith(OTHER)}


@fl.task(retries=2, enable_deck=True)
def looking(x: float) -> str:
    fl.Deck("of the user", str(x))
    return json.dumps(look())


@fl.task(retries=2, enable_deck=True)
def looking_trial(x: float) -> float:
    fl.Deck("of the user", str(x))
    current_trial().set_user_attr("seen", json.dumps(look()))
    return x


@fl.workflow
def batches() -> tuple[str, optuna.Study]:
    return looking(x=1.0), Optimizer(looking_trial, 2, 3)(x=X)


@fl.workflow
def reused() -> tuple[str, optuna.Study]:
    return looking(x=1.0), Optimizer(looking_trial, 2, 3, reuse_pods=True)(x=X)


@fl.task(environment={"FLYTEOPTUNA_LOCAL_WORKERS": "2"})
def search_here(reuse: bool) -> list[str]:
    study = Optimizer(storing, 2, 4, reuse_pods=reuse)(x=X)
    return [outputs(study, number).o1.path for number in range(4)]


@fl.workflow
def searches_in_tasks() -> tuple[list[str], list[str]]:
    return search_here(reuse=False), search_here(reuse=True)


@fl.task
def storing(x: float) -> tuple[float, FlyteFile]:
    path = Path(fl.current_context().working_directory, "x")
    path.write_text(str(x))
    return x, FlyteFile(str(path))


@fl.workflow
def contexts() -> tuple[str, optuna.Study, optuna.Study]:
    first, second = Optimizer(looking_trial, 2, 2), Optimizer(looking_trial, 1, 3, reuse_pods=True)
    return looking(x=1.0), first(x=X), second(x=X)
