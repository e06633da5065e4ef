"""Outages of a real store: each driver pod of a search in batches asks Flyte for another attempt at last."""

import optuna
import pytest
from flytekit.exceptions.user import FlyteRecoverableException

from flyteoptuna import suggest
from flyteoptuna.flyte.references import list_reference, make_reference, msgpack_literal
from flyteoptuna.flyte.study_type import StudyReference
from flyteoptuna.search.batches.graph import BatchTasks
from flyteoptuna.search.best_outputs import NONE_USED
from flyteoptuna.search.generation import begin_search
from flyteoptuna.space.space import space_to_json
from flyteoptuna.study.settings import SearchSettings
from flyteoptuna.study.system_attrs import trial_mark
from flyteoptuna.trial.report import TrialReport
from flyteoptuna.values import retries

SETTINGS = SearchSettings(2, 1, 2, space=space_to_json({"x": suggest.float(0, 1)}))


@pytest.mark.parametrize("method", ["GET", "PUT"])
@pytest.mark.parametrize("role", ["ask", "finish"])
@pytest.mark.parametrize("lasts", [False, True])
def test_a_driver_waits_for_the_end_of_an_outage_or_is_run_again(flows, bucket, monkeypatch, role, method, lasts):
    """Whether it reads the study or saves it."""
    monkeypatch.setattr(retries, "FIRST_PAUSE", 25)
    monkeypatch.setattr(retries, "LONGEST_PAUSE", 25)
    line = flows("flow_of_reused").line
    tasks = BatchTasks.of(line, line, ("x",), (), "", ("minimize",), ())
    study = make_reference(StudyReference(begin_search(None, SETTINGS, ("minimize",), "", 1)).literal)
    inputs = {"study": study, "reports": list_reference([])}
    asking = {**inputs, "index": 0, "over": False, "settings": SETTINGS.to_json()}
    if role == "ask":
        inputs = asking
    else:
        asked = make_reference(tasks.ask.execute(**asking)[0].literal)
        trials = asked.read(optuna.Study).trials
        reports = [TrialReport(t.number, trial_mark(t).key, state="COMPLETE", values=[t.params["x"]]) for t in trials]
        literals = list_reference([make_reference(msgpack_literal(vars(report))) for report in reports])
        inputs = {"study": asked, "reports": literals, "max_failures": None, "used": NONE_USED}
    begun = len(bucket.requests)

    def fails(asked, path):
        return 503 * ((asked == "PUT") == (method == "PUT") and (lasts or len(bucket.requests) < begun + 5))

    bucket.fails = fails
    if lasts:
        with pytest.raises(FlyteRecoverableException, match=r"in \d+ attempts"):
            getattr(tasks, role).execute(**inputs)
        bucket.fails = lambda asked, path: 0
    told = make_reference(getattr(tasks, role).execute(**inputs)[0].literal).read(optuna.Study)
    assert [t.state.name for t in told.trials] == ["RUNNING" if role == "ask" else "COMPLETE"] * 2
