"""What the tests of searches across processes share."""

from pathlib import Path

import msgpack
import optuna
from flytekit.core.context_manager import FlyteContextManager
from flytekit.core.type_engine import TypeEngine
from flytekit.models.literals import Literal

CODE = Path(__file__).parent / "flows"


def study_of(literal):
    """The study that an output literal refers to."""
    ctx = FlyteContextManager.current_context()
    return TypeEngine.to_python_value(ctx, Literal.from_flyte_idl(literal), optuna.Study)


def number_of(pod):
    """The trial that a pod runs."""
    return msgpack.loads(pod.inputs["optuna_trial"].scalar.binary.value)["number"]


def driver_pods(engine):
    """The pods of a search that are not trials."""
    return [pod for role in ("search", "span", "generation", "finish") for pod in engine.of(f".{role}-")]
