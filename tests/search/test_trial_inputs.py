"""What the trials of a batch get, and by which way."""

import zipfile

import pytest
from containers import CODE, study_of
from flyteidl.core import literals_pb2 as pb

from flyteoptuna.testing.engine.engine import Engine


@pytest.mark.parametrize(("name", "n_trials"), [("by_space", 3), ("by_callback", 4)])
def test_fixed_inputs_go_by_reference(tmp_path, flows, name, n_trials):
    """No driver uploads a file, a directory or a data frame again, and each trial gets the one of the first task."""
    flow = flows("flow_of_inputs")
    engine = Engine(tmp_path, CODE)
    study = study_of(engine.run(getattr(flow, name), {"n_trials": n_trials})["o0"])
    for trial in study.trials:
        assert trial.value == pytest.approx(6.0 + trial.params.get("factor", 4) + trial.params["x"])
    assert len(study.trials) == n_trials
    [upstream] = engine.of("flow_of_inputs.data")
    made = pb.LiteralMap.FromString((upstream.metadata / "outputs.pb").read_bytes()).literals
    for pod in engine.of(".trial-"):
        for position, key in enumerate(["file", "folder", "frame"]):
            assert uri(pod.inputs[key]) == uri(made[f"o{position}"])
    uploaded = [path for path in (tmp_path / "raw").rglob("*") if path.is_file() and not zipfile.is_zipfile(path)]
    assert len(uploaded) == 3


def uri(literal):
    scalar = literal.scalar
    return scalar.blob.uri or scalar.structured_dataset.uri
