"""How far a search is, in one line."""

import json

from searches import asked, begun

from flyteoptuna.flyte import study_type
from flyteoptuna.study import stopping
from flyteoptuna.study.progress import search_progress
from flyteoptuna.study.tell import tell_trials
from flyteoptuna.trial.report import TrialReport


def test_a_search_goes_on_while_no_trial_is_feasible():
    """Neither its line nor its attributes need a best trial."""
    study = begun(2)
    reports = [TrialReport(a.number, state="COMPLETE", values=[1.0]) for a in asked(study, 2)]
    for report in reports:
        report.system_attrs = json.dumps({"constraints": [1.0], "constraints:c": 1.0})
    tell_trials(study, reports)
    assert str(search_progress(study)).endswith("2/0 trials, 0 failed, none feasible")
    assert study_type.study_attribute_values(study)["best_value"] is None
    stopping.check_failures(study, last=True)
