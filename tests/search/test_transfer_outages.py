"""Outages of the store around the objective: its inputs, its outputs, and checkpoints of reused pods."""

import io
from pathlib import Path

import flytekit as fl
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from flytekit.core.checkpointer import SyncCheckpoint
from flytekit.exceptions.system import FlyteDownloadDataException
from flytekit.exceptions.user import FlyteRecoverableException
from flytekit.types.file import FlyteFile
from s3fs.errors import translate_boto_error

from flyteoptuna.errors import StoreError
from flyteoptuna.flyte import outputs, references
from flyteoptuna.flyte.objective import STUDY
from flyteoptuna.flyte.references import Reference, make_reference, msgpack_literal
from flyteoptuna.flyte.trial_context import local_call
from flyteoptuna.search.reused.checkpoints import RetriedCheckpoint
from flyteoptuna.search.run_objective import run_objective
from flyteoptuna.search.trial_inputs import TrialJob
from flyteoptuna.search.trial_task import FOR_FLYTE, trial_task
from flyteoptuna.trial.report import TrialHandle
from flyteoptuna.values import retries

CALLS = []


@fl.task
def objective(x: float, scale: float) -> tuple[float, FlyteFile]:
    CALLS.append(x)
    path = Path(fl.current_context().working_directory, "out.txt")
    path.write_text("out")
    return x * scale, FlyteFile(str(path))


def unavailable():
    response = {"Error": {"Code": "SlowDown", "Message": "?"}, "ResponseMetadata": {"HTTPStatusCode": 503}}
    return translate_boto_error(ClientError(response, "GetObject"))


OUTAGES = {
    "503": unavailable,
    "refused": lambda: EndpointConnectionError(endpoint_url="http://a"),
    "reset": lambda: ConnectionResetError(104, "reset"),
    "wrapped": lambda: FlyteDownloadDataException("SYSTEM:DownloadDataError"),
}
# Errors of a type's own code, and of a store that another attempt cannot help.
OTHERS = {"value": lambda: ValueError("no"), "code": lambda: RuntimeError("no"), "right": lambda: PermissionError("no")}


@pytest.fixture
def pauses(monkeypatch):
    found = []
    monkeypatch.setattr(retries, "sleep", found.append)
    CALLS.clear()
    return found


def run_trial(monkeypatch, place, way, make_error, times):
    """Run a trial in which a place fails some times."""
    left = [times]

    def fail(owner, name):
        call = getattr(owner, name)

        def fail_or_call(*args, **kwargs):
            left[0] -= 1
            if left[0] >= 0:
                raise make_error()
            return call(*args, **kwargs)

        monkeypatch.setattr(owner, name, fail_or_call)

    scale = make_reference(references.to_reference(2.0, float).literal)
    fail(Reference, "read") if place == "input" else fail(outputs, "to_reference")
    handle = TrialHandle(0, "key", {"x": 3.0}, 100_000, prunes=False, directions=["MINIMIZE"])
    job = TrialJob(handle, {"x": references.to_reference(3.0, float)}, 0)
    inputs = {STUDY: make_reference(msgpack_literal({})), **job.flyte_inputs(), "scale": scale}
    if way == "reused":
        return run_objective(objective, inputs, local_call(objective), FOR_FLYTE)
    return trial_task(objective, ("x",), ("scale",), on_flyte=way == "pod").execute(**inputs)


@pytest.mark.parametrize("way", ["pod", "local", "reused"])
@pytest.mark.parametrize("kind", OUTAGES)
@pytest.mark.parametrize("place", ["input", "output"])
def test_an_outage_around_the_objective_is_waited_for(monkeypatch, pauses, place, kind, way):
    """The objective is called once, and its trial is complete."""
    report = run_trial(monkeypatch, place, way, OUTAGES[kind], 3)
    assert (report.state, report.values, CALLS, len(pauses)) == ("COMPLETE", [6.0], [3.0], 3)


@pytest.mark.parametrize("way", ["pod", "local", "reused"])
@pytest.mark.parametrize("kind", OUTAGES)
@pytest.mark.parametrize("place", ["input", "output"])
def test_an_outage_that_lasts_is_flytes_to_try_again(monkeypatch, pauses, place, kind, way):
    """In a pod; a local trial, which nobody runs again, fails with the error of the store."""
    match = rf"The {place} `\w+` cannot be (read|written) in \d+ attempts: "
    if way == "local":
        report = run_trial(monkeypatch, place, way, OUTAGES[kind], 1000)
        assert report.state == "FAIL" and "cannot be" in report.error and "attempts" in report.error
    else:
        with pytest.raises(FlyteRecoverableException if way == "pod" else StoreError, match=match):
            run_trial(monkeypatch, place, way, OUTAGES[kind], 1000)
    assert sum(pauses) == pytest.approx(300)


@pytest.mark.parametrize("way", ["pod", "local", "reused"])
@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("place", ["input", "output"])
def test_an_error_that_is_no_outage_fails_the_trial_at_once(monkeypatch, pauses, place, kind, way):
    """A type of the user's may raise anything."""
    report = run_trial(monkeypatch, place, way, OTHERS[kind], 1000)
    assert (report.state, pauses) == ("FAIL", []) and type(OTHERS[kind]()).__name__ in report.error


@pytest.mark.parametrize("kind", OUTAGES)
@pytest.mark.parametrize("name", ["save", "restore"])
@pytest.mark.parametrize("lasts", [False, True])
def test_a_checkpoint_of_a_reused_pod_waits_for_the_end_of_an_outage(monkeypatch, pauses, tmp_path, kind, name, lasts):
    """A stream is saved whole by a later attempt too."""
    left, call = [1000 if lasts else 3], getattr(SyncCheckpoint, name)

    def fail_or_call(*args):
        if name == "save" and isinstance(args[1], io.IOBase):
            args = (args[0], io.BytesIO(args[1].read()))
        left[0] -= 1
        if left[0] >= 0:
            error = OUTAGES[kind]()
            raise error
        return call(*args)

    monkeypatch.setattr(SyncCheckpoint, name, fail_or_call)

    def save_and_read():
        RetriedCheckpoint(str(tmp_path / "0")).write(b"state")
        return RetriedCheckpoint(str(tmp_path / "1"), str(tmp_path / "0")).read()

    if lasts:
        with pytest.raises(StoreError, match=r"The checkpoint cannot be (read|written) in \d+ attempts"):
            save_and_read()
    else:
        assert save_and_read() == b"state"
    assert len(pauses) >= 3
