"""What the reports of a batch weigh inline."""

import json

import pytest
from flytekit.core.context_manager import FlyteContextManager
from flytekit.core.type_engine import TypeEngine

from flyteoptuna.trial.call_objective import record_trial
from flyteoptuna.trial.current_trial import ActiveTrial
from flyteoptuna.trial.report import TrialReport, report_byte_limit

LIMIT = 2 * 1024 * 1024


@pytest.mark.parametrize("batch", [1, 10, 1000])
def test_the_fullest_reports_of_a_batch_fit(batch):
    """Errors, attributes and intermediate values of any size are cut to their room, and the note says so."""
    active = ActiveTrial(0)
    for step in range(100_000):
        active.report(step / 7, step)
    for number in range(20):
        active.set_user_attr(f"attribute {number}", "value" * 50 * number)
    report = TrialReport(123_456, key="0123456789ab", start=1_700_000_000.123, end=1_700_000_000.456)
    with record_trial(report, active, report_byte_limit(batch)):
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
