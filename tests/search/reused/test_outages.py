"""Outages of a real store: each pod of a search waits for its end, and asks Flyte for another attempt at last."""

import pytest
from flytekit.exceptions.user import FlyteRecoverableException
from reused_pods import Pods

from flyteoptuna import load_study
from flyteoptuna.values import retries

OUTAGE = 503


@pytest.fixture
def pods(flows):
    return Pods(flows("flow_of_reused"))


ROADS = ["search", "worker", "finish"]


@pytest.mark.parametrize("road", ROADS)
def test_an_outage_that_ends_costs_nothing(pods, bucket, road):
    """Whatever a pod does first, and in between."""
    for name in ROADS:
        if name == road:
            bucket.requests.clear()
            bucket.fails = lambda method, path: OUTAGE * (len(bucket.requests) < 9)
        study = getattr(pods, name)()
        bucket.fails = lambda method, path: 0
    assert [t.state.name for t in study.trials] == ["COMPLETE"] * 2


@pytest.mark.parametrize("method", ["GET", "PUT"])
@pytest.mark.parametrize("road", ROADS)
def test_an_outage_that_lasts_is_flytes_to_try_again(pods, bucket, road, method, monkeypatch):
    """The next attempt goes on, and an error of the last pod names the journal, from which the study can be read."""
    for name in ROADS[: ROADS.index(road)]:
        getattr(pods, name)()
    # Fewer attempts, for speed.
    monkeypatch.setattr(retries, "FIRST_PAUSE", 100)
    monkeypatch.setattr(retries, "LONGEST_PAUSE", 100)
    bucket.fails = lambda asked, path: OUTAGE * (asked in ({"GET", "HEAD"} if method == "GET" else {method}))
    with pytest.raises(FlyteRecoverableException, match="cannot be") as failed:
        getattr(pods, road)()
    bucket.fails = lambda asked, path: 0
    if road == "finish":
        url = str(failed.value).rpartition("flyteoptuna show ")[2]
        assert url == pods.shared["journal"]
        assert [t.state.name for t in load_study(url).trials] == ["COMPLETE"] * 2
    for name in ROADS[ROADS.index(road) :]:
        study = getattr(pods, name)()
    assert [t.state.name for t in study.trials] == ["COMPLETE"] * 2


@pytest.mark.parametrize("road", ROADS)
def test_a_right_that_is_missing_is_no_outage(pods, bucket, road, monkeypatch):
    """No pod waits for it, and no attempt is made again."""
    for name in ROADS[: ROADS.index(road)]:
        getattr(pods, name)()
    pauses = []
    monkeypatch.setattr(retries, "sleep", pauses.append)
    bucket.fails = lambda asked, path: 403 * (asked == "PUT")
    with pytest.raises(Exception, match=r"PermissionError") as failed:
        getattr(pods, road)()
    assert not isinstance(failed.value, FlyteRecoverableException)
    assert (pods.shared.get("journal", "") in str(failed.value)) and pauses == []
