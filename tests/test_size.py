"""What a batch of a thousand trials weighs inline, where Flyte reads at most 2 MiB."""

import json

import pytest
from containers import CODE
from engine import Engine, ExecutionFailed, Fault
from flytekit.core.context_manager import FlyteContextManager
from flytekit.core.type_engine import TypeEngine

from flyteoptuna.core.active_trial import ActiveTrial
from flyteoptuna.core.recording import recording
from flyteoptuna.core.report import TrialReport, room

LIMIT = 2 * 1024 * 1024


def test_a_thousand_trials_fit_into_one_graph(tmp_path, flows):
    """The graph of the batch, with all its inputs, is below what Flyte reads."""
    engine = Engine(tmp_path, CODE, faults=lambda p: Fault.KILL if ".trial-" in p.task else None)
    with pytest.raises(ExecutionFailed, match="All of the first 1000 trials failed"):
        engine.run(flows("flow_of_size").wide)
    [generation] = engine.of(".generation-")
    size = (generation.metadata / "futures.pb").stat().st_size
    assert 0 < size < 0.7 * LIMIT
    assert len(engine.of(".trial-")) == 1000


def test_a_batch_that_cannot_fit_says_so(tmp_path, flows):
    """The rule, the size and the remedy stand in the driver's error."""
    with pytest.raises(ExecutionFailed, match=r"at most 1048576 bytes, but those of 4000 trials take .* `batch_size`"):
        Engine(tmp_path, CODE).run(flows("flow_of_size").too_wide)


@pytest.mark.parametrize("batch", [1, 10, 1000])
def test_the_fullest_reports_of_a_batch_fit(batch):
    """Errors, attributes and intermediate values of any size are cut to their room, and the note says so."""
    active = ActiveTrial(0)
    for step in range(100_000):
        active.report(step / 7, step)
    for number in range(20):
        active.set_user_attr(f"attribute {number}", "value" * 50 * number)
    report = TrialReport(123_456, key="0123456789ab", start=1_700_000_000.123, end=1_700_000_000.456)
    with recording(report, active, room(batch)):
        raise ValueError("reason " * 10_000)
    assert "cut)" in report.error
    assert "flyteoptuna:cut" in json.loads(report.user_attrs)
    literal = TypeEngine.to_literal(
        FlyteContextManager.current_context(),
        [report] * batch,
        list[TrialReport | None],
        TypeEngine.to_literal_type(list[TrialReport | None]),
    )
    assert len(literal.to_flyte_idl().SerializeToString()) < LIMIT
