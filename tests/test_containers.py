"""A search across processes: every task reloaded, only protobuf files between them."""

import math
from pathlib import Path

import optuna
from engine.engine import Engine
from flyteidl.core import literals_pb2
from flytekit.core.context_manager import FlyteContextManager
from flytekit.core.type_engine import TypeEngine
from flytekit.models.literals import Literal
from optuna.trial import TrialState

from flyteoptuna import plan
from flyteoptuna.study import ERROR_ATTRIBUTE

CODE = Path(__file__).parent / "flows"


def integer(value):
    return literals_pb2.Literal(scalar=literals_pb2.Scalar(primitive=literals_pb2.Primitive(integer=value)))


def test_a_search_survives_a_killed_pod_and_a_failing_objective(tmp_path, monkeypatch):
    """Each trial is told once, failures keep their reasons, and the parameters are those of a plain loop."""
    monkeypatch.syspath_prepend(str(CODE))
    import flow_of_squares

    engine = Engine(tmp_path, CODE, kill={"#1"})
    outputs = engine.run(flow_of_squares.search, {"concurrency": integer(3), "n_trials": integer(7)})
    ctx = FlyteContextManager.current_context()
    study = TypeEngine.to_python_value(ctx, Literal.from_flyte_idl(outputs["o0"]), optuna.Study)

    reference = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=3))
    for trial in study.trials:
        asked = reference.ask()
        x, depth = asked.suggest_float("x", -1, 1), asked.suggest_int("params.depth", 0, 3)
        assert trial.params == {"x": x, "params.depth": depth}
        if trial.number == 1:
            assert "sent no report" in trial.user_attrs[ERROR_ATTRIBUTE]
        elif depth == 3:
            assert "too deep" in trial.user_attrs[ERROR_ATTRIBUTE]
        else:
            assert trial.value == 2.0 * x * x + depth
        assert (trial.state == TrialState.FAIL) == (trial.number == 1 or depth == 3)
    assert outputs["o1"].scalar.primitive.float_value == study.best_value
    assert outputs["o2"].scalar.primitive.integer == len(study.trials) == 7
    others = [pod for pod in engine.pods if "#" not in pod and "scale" not in pod]
    assert len(engine.pods) - len(others) == 7 + 1
    assert len(others) <= 3 + math.ceil(3 / (plan.ARITY - 1)) + 3
    assert engine.depth <= 4
