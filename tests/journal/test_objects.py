"""Stores: which are fit for a journal, and what becomes of their errors."""

import json
import os

import optuna
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from journals import backend, entries, opened, seen, started
from optuna.exceptions import DuplicatedStudyError
from optuna.storages import JournalStorage
from optuna.study import StudyDirection
from stores import Store

from flyteoptuna.errors import JournalError, StoreError
from flyteoptuna.journal.backend import JournalObjectBackend
from flyteoptuna.journal.entries import entry_name
from flyteoptuna.values import retries


def test_a_good_store_passes_and_keeps_nothing_of_the_probe(tmp_path):
    """Local files and what has a create of its own."""
    store = Store()
    backend(store).check()
    JournalObjectBackend(f"file://{tmp_path}/j").check()
    assert not store.objects and not os.listdir(tmp_path / "j")


def overwrite(store):
    return lambda fs, path, body: store.objects.__setitem__(path, body)


def keep_in_silence(store):
    return lambda fs, path, body: store.objects.setdefault(path, body)


def overwrite_and_complain(store):
    def create(fs, path, body):
        there = path in store.objects
        store.objects[path] = body
        if there:
            raise FileExistsError(path)

    return create


def refuse(error):
    def make(store):
        def create(fs, path, body):
            raise error

        return create

    return make


@pytest.mark.parametrize(
    "create, why",
    [
        (overwrite, "taken in silence, and b'second' was read after b'first' had been written"),
        (keep_in_silence, "taken in silence, and b'first' was read"),
        (overwrite_and_complain, "FileExistsError: .*, and b'second' was read"),
        (refuse(PermissionError("read-only")), r"probe-\w+ cannot be written: PermissionError: read-only"),
        (
            refuse(FileNotFoundError("no such bucket")),
            r"probe-\w+ cannot be written: FileNotFoundError: no such bucket",
        ),
        (refuse(TypeError("unexpected keyword 'mode'")), r"probe-\w+ cannot be written: TypeError: unexpected keyword"),
        (refuse(OSError("no links")), r"probe-\w+ cannot be written in \d+ attempts: OSError: no links"),
        (refuse(OSError(28, "No space left")), r"probe-\w+ cannot be written: OSError: \[Errno 28\] No space left"),
        (lambda store: lambda fs, path, body: None, r"taken in silence, and None was read after b'first'"),
    ],
)
def test_a_store_that_cannot_hold_a_journal_is_refused(create, why):
    """With its name, and what it did."""
    store = Store()
    back = JournalObjectBackend("mem://j", fs=store, create=create(store))
    with pytest.raises(JournalError, match=f"^mem://j.*{why}"):
        back.check()


def test_a_store_that_hides_what_is_missing_is_refused():
    """S3 answers so where the right to list is missing."""

    class Hiding(Store):
        def _read(self, path):
            try:
                return super()._read(path)
            except FileNotFoundError:
                raise PermissionError("Access Denied") from None

    with pytest.raises(JournalError, match=r"cannot be read: PermissionError: Access Denied; .* the right to list"):
        backend(Hiding()).check()


def test_a_filesystem_without_links_is_refused(tmp_path, monkeypatch):
    """A file that is opened exclusively is there before its content."""

    def link(source, target):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(JournalError, match=r"cannot be written: PermissionError: .*Operation not permitted"):
        JournalObjectBackend(str(tmp_path / "j")).check()
    assert not os.listdir(tmp_path / "j")


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    """With the reason of the system."""
    (tmp_path / "j").write_text("")
    with pytest.raises(JournalError, match=r"probe-.* cannot be (written|read): (FileExists|NotADirectory)Error"):
        JournalObjectBackend(str(tmp_path / "j")).check()


class Half(MemoryFileSystem):
    """Asks whether a file exists, and writes it then."""

    cachable = False


@pytest.mark.parametrize("fs", [MemoryFileSystem(), Half()])
def test_a_filesystem_that_asks_first_is_refused(fs):
    """It would pass a probe, and lose an entry later."""
    with pytest.raises(JournalError, match=r"only where there is none, in one request: .*s3fs.*; got .*(Memory|Half)"):
        JournalObjectBackend("memory://j", fs=fs)


@pytest.mark.parametrize("fate", ["before", "after", "late"])
@pytest.mark.parametrize("times", [1, 4])
def test_errors_that_pass_are_tried_again(fate, times):
    """On reads and on writes, without a record that comes twice."""
    store = Store()
    _, storage, trial = started(store)
    left = [times]

    def few(operation, name):
        left[0] -= 1
        return fate if left[0] >= 0 else ""

    store.fate = few
    storage.set_trial_user_attr(trial, "a", 1)
    left[0] = times
    assert opened(store)[1].get_trial(trial).user_attrs == {"a": 1}
    assert len(entries(store)) == 3


@pytest.mark.parametrize("operation", ["create", "read"])
def test_errors_that_stay_are_told_with_the_object(operation, monkeypatch):
    """After minutes of growing pauses, and the storage goes on when the store does."""
    pauses = []
    monkeypatch.setattr(retries, "sleep", pauses.append)
    store = Store()
    _, storage, trial = started(store, poll=1e9)
    store.fate = lambda asked, name: "before" if asked == operation else ""
    if operation == "create":
        with pytest.raises(
            StoreError, match=r"mem://j/00000002.json cannot be written in \d+ attempts: TimeoutError: "
        ):
            storage.set_trial_user_attr(trial, "a", 1)
    else:
        with pytest.raises(StoreError, match=r"mem://j/pack-000000.json.gz cannot be read in \d+ attempts: Timeout"):
            opened(store)
    assert sum(pauses) == pytest.approx(300)
    assert 10 < len(pauses) < 60 and pauses[0] < 1 and 5 < max(pauses) < 60
    store.fate = lambda asked, name: ""
    storage.set_trial_user_attr(trial, "b", 1)
    assert seen(storage) == seen(opened(store)[1])


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_ends_a_pause_at_once(error, monkeypatch):
    """The request is not tried again, and the storage goes on."""

    def interrupt(seconds):
        raise error

    monkeypatch.setattr(retries, "sleep", interrupt)
    store = Store()
    _, storage, trial = started(store)
    store.fate = lambda operation, name: "before"
    with pytest.raises(error):
        storage.set_trial_user_attr(trial, "a", 1)
    store.fate = lambda operation, name: ""
    storage.set_trial_user_attr(trial, "b", 1)
    assert storage.get_trial(trial).user_attrs == opened(store)[1].get_trial(trial).user_attrs == {"b": 1}


def test_a_journal_that_was_opened_to_be_read_is_not_written(tmp_path):
    """Nor is its folder made."""
    url = str(tmp_path / "j")
    with pytest.raises(JournalError, match="there is no journal here"):
        JournalObjectBackend(url, read_only=True).check()
    assert JournalStorage(JournalObjectBackend(url, read_only=True)).get_all_studies() == []
    assert not os.path.exists(url)
    storage = JournalStorage(JournalObjectBackend(url))
    storage.create_new_study([StudyDirection.MINIMIZE], "s")
    back = JournalObjectBackend(url, read_only=True)
    back.check()
    with pytest.raises(JournalError, match="was opened read-only"):
        JournalStorage(back).create_new_trial(0)
    assert os.listdir(url) == [entry_name(0)]


def test_optunas_dashboard_shows_a_journal(tmp_path):
    """Read-only, while it is written."""
    from wsgiref.util import setup_testing_defaults

    import optuna_dashboard

    url = str(tmp_path / "j")
    optuna.create_study(study_name="shown", storage=JournalStorage(JournalObjectBackend(url)))
    app = optuna_dashboard.wsgi(JournalStorage(JournalObjectBackend(url, read_only=True)))
    environ = {"PATH_INFO": "/api/studies"}
    setup_testing_defaults(environ)
    status = []
    body = b"".join(app(environ, lambda code, *rest: status.append(code)))
    assert status == ["200 OK"] and [s["study_name"] for s in json.loads(body)["study_summaries"]] == ["shown"]


def test_a_study_of_that_name_is_told(tmp_path):
    """As over any other storage."""

    def make():
        return JournalStorage(JournalObjectBackend(str(tmp_path / "j")))

    optuna.create_study(study_name="s", storage=make())
    with pytest.raises(DuplicatedStudyError):
        optuna.create_study(study_name="s", storage=make())
    assert optuna.create_study(study_name="s", storage=make(), load_if_exists=True).trials == []
