"""A trial finds the checkpoint of its own earlier attempts, or none."""

import pytest
from containers import CODE, study_of

from flyteoptuna.local.worker_pool import WORKERS
from flyteoptuna.testing.engine.engine import Engine

NONE = "False nothing"
# What the first trial does in each attempt, and what the attempts find in pods.
SAVED = {
    "save raise,save": [NONE, "True 0 0"],
    "raise,save": [NONE, NONE],
    "save kill,save raise,save": [NONE, "True 0 0", "True 0 1"],
    "kill,save kill,raise,save": [NONE, NONE, "True 0 1", "True 0 1"],
}
# The places of a search, with the number of its workers: pods, this process, which it must not kill, or processes.
PLACES = {"pods": 1, "here": 1, "processes": 2}
CASES = [
    (place, way, how)
    for place in PLACES
    for way in ("batches", "reused")
    for how in SAVED
    if place != "here" or "kill" not in how
]


@pytest.mark.parametrize(("place", "way", "how"), CASES)
def test_a_trial_finds_what_its_earlier_attempts_saved(flows, monkeypatch, tmp_path, place, way, how):
    """After an exception and after the death of its process; the trials after it in the same process find none."""
    workflow = getattr(flows("flow_of_checkpoints"), way)
    inputs = {"folder": str(tmp_path), "how": how, "concurrency": PLACES[place]}
    if place == "pods":
        study = study_of(Engine(tmp_path / "engine", CODE, system_retries=3).run(workflow, inputs)["o0"])
    else:
        monkeypatch.setenv(WORKERS, str(PLACES[place]))
        study = workflow(**inputs)
    found = {number: (tmp_path / str(number)).read_text().splitlines() for number in range(4)}
    # A local search in batches retries nothing.
    retried = place == "pods" or way == "reused"
    expected = SAVED[how] if retried else SAVED[how][:1]
    if (place, way) == ("pods", "batches") and how == "kill,save kill,raise,save":
        # Flyte gives an attempt the checkpoint of the one before it alone.
        expected = [NONE, NONE, "True 0 1", NONE]
    assert found == {0: expected, 1: [NONE], 2: [NONE], 3: [NONE]}
    assert [t.state.name for t in study.trials] == ["COMPLETE" if retried else "FAIL", *["COMPLETE"] * 3]
