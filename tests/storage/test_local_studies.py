"""Links to the local studies of a user, in a folder for temporary files that others may write to."""

import os
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from flyteoptuna import StudyNotFoundError
from flyteoptuna.storage import local_studies as links
from flyteoptuna.storage.local_studies import LocalStudy, StudyLink, find_local_study, local_studies, resolve_latest


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder for temporary files, and a file in it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "one.study").touch()
    return tmp_path


def folder(place):
    return place / f"flyteoptuna-{os.getuid()}"


def test_the_latest_study_is_found(place):
    """By its word; other sources, a relative path to a file of that name too, stay as they are."""
    with StudyLink(place / "one.study"):
        assert resolve_latest("latest") == str(place / "one.study")
        [study] = local_studies()
        assert study.is_running and study.pid == os.getpid() and study.start <= time.time()
    (place / "two").mkdir()
    with StudyLink(place / "two") as link:
        assert resolve_latest("latest") == str(place / "two")
        link.move(place / "one.study")
    assert [study.path for study in local_studies()] == [str(place / "one.study")] * 2
    assert not any(study.is_running for study in local_studies())
    for source in ("./latest", "latest.study", "flyte://a/b/c", "s3://b/latest"):
        assert resolve_latest(source) == source


def test_a_study_is_found_by_any_path(place, monkeypatch):
    """And another file is not."""
    with StudyLink(place / "one.study"):
        monkeypatch.chdir(place)
        for path in ("one.study", "./one.study", str(place / "one.study")):
            assert find_local_study(path).pid == os.getpid()
        assert find_local_study("two.study") is None


def test_no_study_is_an_error_that_names_the_folder(place):
    """Before the first search, after the studies were removed, and for a search without a link."""
    with pytest.raises(
        StudyNotFoundError,
        match=f"No local study is here yet: .* with a link in {folder(place)}. If a file is meant, write ./latest",
    ):
        resolve_latest("latest")
    with StudyLink(None) as link:
        link.move(place / "one.study")
        assert not folder(place).exists()
    StudyLink(place / "gone.study")
    with pytest.raises(StudyNotFoundError, match=r"write \./latest"):
        resolve_latest("latest")


@pytest.mark.parametrize(("number", "start", "running"), [(0, 2e9, False), (None, 2e9, True), (None, 1.0, False)])
def test_a_process_of_the_same_number_is_another_one(number, start, running):
    """If it began after the search."""
    pid = os.getpid() if number is None else number
    assert LocalStudy("one.study", start, pid).is_running == running
    assert psutil.pid_exists(os.getpid())


def test_names_that_are_no_links_are_left_alone(place):
    """Whatever stands in the folder."""
    with StudyLink(place / "one.study"):
        for name in ("x", "1", "1-", "-1", "1-x", "1e3-4", "٣-4", f"{'9' * 30}-4", "1-2.new", "a-b", "\n-\x1b"):
            os.symlink(place / "one.study", folder(place) / name)
        (folder(place) / "1-3").write_text("no link")
        (folder(place) / "1-4").mkdir()
        assert len(local_studies()) == 1
    before = sorted(os.listdir(folder(place)))
    with StudyLink(place / "one.study"):
        assert sorted(os.listdir(folder(place)))[: len(before)] == before or len(local_studies()) == 2


def unsafe_link(path):
    path.symlink_to(path.parent / "other")
    (path.parent / "other").mkdir()


@pytest.mark.parametrize(
    "make",
    [
        unsafe_link,
        lambda path: path.write_text("a file"),
        lambda path: (path.mkdir(), path.chmod(0o777)),
        lambda path: (path.mkdir(), path.chmod(0o720)),
    ],
)
def test_a_folder_that_others_could_have_made_is_not_used(place, make):
    """A search goes on without a link, and changes nothing there."""
    make(folder(place))
    before = sorted(str(path) for path in place.rglob("*"))
    with StudyLink(place / "one.study"):
        assert local_studies() == []
    assert sorted(str(path) for path in place.rglob("*")) == before


def test_files_of_other_users_are_not_trusted(place, monkeypatch):
    """Neither a folder of links, nor a study, nor a study in a folder of theirs."""
    with StudyLink(place / "one.study"):
        user = os.getuid()
        monkeypatch.setattr(os, "getuid", lambda: user + 1)
        folder(place).symlink_to(place / f"flyteoptuna-{user}")
        assert local_studies() == []
        folder(place).unlink()
        (place / f"flyteoptuna-{user}").rename(folder(place))
        assert local_studies() == []
        monkeypatch.setattr(links, "_is_own_folder", lambda folder: True)
        assert local_studies() == []
        lstat = os.lstat

        def lstat_of_own_file(path):
            status = [*lstat(path)]
            status[4] += Path(path).is_file()
            return os.stat_result(status)

        # In a folder of another user, a file may be a link to any file.
        monkeypatch.setattr(os, "lstat", lstat_of_own_file)
        assert local_studies() == []


def test_what_is_neither_a_file_nor_a_folder_is_left_out(place):
    """A pipe would block, and a link may lead anywhere."""
    os.mkfifo(place / "pipe")
    (place / "link").symlink_to(place / "one.study")
    for name in ("pipe", "link", "one.study/x"):
        StudyLink(place / name)
    assert local_studies() == []


def test_the_folder_does_not_grow(place, monkeypatch):
    """The last links stay, without those to studies that are gone; the studies are not touched."""
    monkeypatch.setattr(links, "MAX_STUDIES", 5)
    for number in range(9):
        (place / str(number)).touch()
        with StudyLink(place / str(number)):
            pass
    assert [Path(study.path).name for study in local_studies()] == ["8", "7", "6", "5", "4"]
    for number in range(5, 8):
        (place / str(number)).unlink()
    with StudyLink(place / "0"):
        assert len(os.listdir(folder(place))) == 2
        assert [Path(study.path).name for study in local_studies()] == ["0", "8"]
    assert {path.name for path in place.iterdir() if path.is_file()} == {*"012348", "one.study"}


def test_a_folder_that_cannot_be_made_stops_no_search(place, monkeypatch):
    """As on a full disk."""
    monkeypatch.setattr(tempfile, "tempdir", str(place / "one.study"))
    with StudyLink(place / "one.study") as link:
        link.move(place / "one.study")
    assert local_studies() == []
