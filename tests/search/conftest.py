"""What the tests of searches share."""

import pytest
from containers import CODE, results, study_of
from s3_server import serve_bucket

from flyteoptuna.testing.engine.engine import Engine
from flyteoptuna.values import retries


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """The results and the pods of a search that nothing happens to."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(CODE))
        engine = Engine(tmp_path_factory.mktemp("undisturbed"), CODE)
        study = study_of(engine.run(__import__("flow_of_faults").plain)["o0"])
    return results(study), [(p.task, p.path, p.index) for p in engine.pods]


@pytest.fixture(scope="session")
def server():
    """An S3 server with a bucket."""
    with serve_bucket() as server:
        yield server


@pytest.fixture
def bucket(server, tmp_path, monkeypatch):
    """The server as the store of Flyte, in which a pause takes no time."""
    monkeypatch.setattr(retries, "sleep", lambda seconds: None)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    with server.as_flytes_store(tmp_path, f"s3://bucket/{tmp_path.name}"):
        yield server
    server.fails = lambda method, path: 0
