"""What the tests of searches across processes share."""

from pathlib import Path

import msgpack
import optuna
from flytekit.core.context_manager import FlyteContextManager
from flytekit.core.type_engine import TypeEngine
from flytekit.models.literals import Literal

from flyteoptuna.testing.engine.engine import Engine

CODE = Path(__file__).parent / "flows"


def study_of(literal):
    """The study that an output literal refers to."""
    ctx = FlyteContextManager.current_context()
    return TypeEngine.to_python_value(ctx, Literal.from_flyte_idl(literal), optuna.Study)


def run(flows, tmp_path, name, inputs=None, **kwargs):
    """The study of a search among those that meet faults, and the engine that ran it."""
    engine = Engine(tmp_path, CODE, **kwargs)
    return study_of(engine.run(getattr(flows("flow_of_faults"), name), inputs or {})["o0"]), engine


def results(study):
    """What two runs of one search have in common."""
    return [(t.params, t.values, t.state) for t in study.trials]


def told(study):
    """All of its trials but their times, and the marks that tell which search they are of."""
    return [
        (t.params, t.distributions, t.values, t.state, t.intermediate_values, t.user_attrs, t.system_attrs)
        for t in study.trials
    ]


def number_of(pod):
    """The trial that a pod runs."""
    return msgpack.loads(pod.inputs["optuna_trial"].scalar.binary.value)["number"]


def driver_pods(engine):
    """The pods of a search that are not trials."""
    return [pod for role in ("search", "span", "ask", "finish") for pod in engine.of(f".{role}-")]


def alive(pid):
    """Whether there is a process of that number."""
    try:
        # Of a process that nobody waits for its number is left.
        return "(zombie)" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        # It may end between any two looks.
        return False
