"""The journal on a real S3 server, over the network."""

import json
import re

import fsspec
import optuna
import pytest
from flytekit.core.context_manager import FlyteContextManager
from journals import run_workers
from optuna.storages import JournalStorage
from s3_server import serve_bucket

from flyteoptuna import load_study
from flyteoptuna.errors import JournalError, StoreError, StudyNotFoundError
from flyteoptuna.journal import packs
from flyteoptuna.journal.backend import JournalObjectBackend
from flyteoptuna.journal.entries import entry_name, pack_name


@pytest.fixture(scope="module")
def server():
    with serve_bucket() as server:
        yield server


@pytest.fixture
def url(server, request):
    return f"s3://bucket/{request.node.name}"


def test_a_second_object_is_refused_by_the_server(server, url):
    """The server honours the condition that s3fs sends, in the words that s3fs has for it."""
    fs = server.fs()
    fs.pipe_file(f"{url}/a", b"first", mode="create")
    with pytest.raises(OSError, match="pre-conditions you specified did not hold"):
        fs.pipe_file(f"{url}/a", b"second", mode="create")
    assert fs.cat_file(f"{url}/a") == b"first"


def test_the_probe_passes_and_leaves_nothing(server, url):
    """A bucket is fit for a journal."""
    JournalObjectBackend(url, fs=server.fs()).check()
    assert not server.fs().exists(url)


def test_a_server_that_ignores_conditions_is_refused(server, url, monkeypatch):
    """As older servers of S3's protocol do."""
    monkeypatch.setattr(server, "ignores_conditions", True)
    with pytest.raises(
        JournalError, match=rf"^{url}: this store cannot hold a journal.*taken in silence, and b'second'"
    ):
        JournalObjectBackend(url, fs=server.fs()).check()


def test_a_bucket_that_does_not_exist_is_refused(server):
    """By the name of the object that could not be written."""
    with pytest.raises(JournalError, match=r"s3://none/j/probe-\w+ cannot be written: FileNotFoundError: .*bucket"):
        JournalObjectBackend("s3://none/j", fs=server.fs()).check()


def test_a_server_that_is_not_there_is_told(server, url):
    """When its patience is over."""
    config = {"connect_timeout": 1, "read_timeout": 1, "retries": {"max_attempts": 0}}
    fs = fsspec.filesystem("s3", **{**server.options, "endpoint_url": "http://127.0.0.1:9"}, config_kwargs=config)
    fs.retries = 1
    with pytest.raises(StoreError, match=r"probe-\w+ cannot be read: EndpointConnectionError: "):
        JournalObjectBackend(url, fs=fs, patience=0).check()


def test_eight_processes_agree_on_one_order(server, url):
    """None is lost, none comes twice, and all see the same, over the network too."""
    storage = JournalStorage(JournalObjectBackend(url, fs=server.fs()))
    optuna.create_study(study_name="s", storage=storage)
    found = run_workers(url, 8, 5, poll=1, storage_options=server.options)
    assert sorted(number for worker in found for number in worker["numbers"]) == list(range(40))
    assert len({worker["digest"] for worker in found}) == 1
    kept = sorted(path.rpartition("/")[2] for path in server.fs().ls(url, detail=False, refresh=True))
    assert kept == [entry_name(number) for number in range(1 + 40 * 3)]


def test_a_late_reader_of_a_bucket_takes_packs(server, url, monkeypatch):
    """And sees what the writer saw."""
    monkeypatch.setattr(packs, "PACK", 10)
    study = optuna.create_study(storage=JournalStorage(JournalObjectBackend(url, fs=server.fs())))
    for number in range(25):
        study.set_user_attr(f"a{number}", number)
    server.fs().rm_file(f"{url}/{entry_name(3)}")
    late = JournalStorage(JournalObjectBackend(url, fs=server.fs()))
    assert late.get_study_user_attrs(0) == study.user_attrs
    server.fs().rm_file(f"{url}/{pack_name(0)}")
    with pytest.raises(JournalError, match=rf"{url}/{entry_name(3)} is missing, but later ones exist"):
        JournalStorage(JournalObjectBackend(url, fs=server.fs()))
    assert json.loads(server.fs().cat_file(f"{url}/{entry_name(0)}"))["number"] == 0


def test_an_empty_object_is_no_entry(server, url):
    """The server has no range of it, and no reader waits for one."""
    server.fs().pipe_file(f"{url}/{entry_name(0)}", b"")
    with pytest.raises(JournalError, match=rf"{url}/{entry_name(0)} is no entry of a journal: 0 bytes, not JSON"):
        JournalStorage(JournalObjectBackend(url, fs=server.fs()))


@pytest.mark.parametrize("ending", ["", "/"])
def test_a_journal_in_a_bucket_is_loaded_by_its_url(server, url, monkeypatch, ending):
    """Without an object of that name there is a folder, and where there is neither, the error names the URL."""
    access = type(FlyteContextManager.current_context().file_access)
    monkeypatch.setattr(access, "get_filesystem_for_path", lambda self, path, **kwargs: server.fs())
    with pytest.raises(StudyNotFoundError, match=re.escape(url)):
        load_study(f"{url}{ending}")
    study = optuna.create_study(study_name="s", storage=JournalStorage(JournalObjectBackend(url, fs=server.fs())))
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    assert [t.values for t in load_study(f"{url}{ending}").trials] == [t.values for t in study.trials]
