"""Atomic replacement of a file."""

import os
import socket
import stat
from types import SimpleNamespace

import pytest

from flyteoptuna.values import atomic_write as module
from flyteoptuna.values.atomic_write import atomic_write, is_planted


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path):
    """A reader sees the old content until the new one is complete."""
    path = tmp_path / "study.csv"
    for content in ("first", "second"):
        before = path.read_text() if path.exists() else None
        with atomic_write(str(path)) as new:
            new.write_text(content)
            new.with_suffix(".lock").write_text("")
            assert (new.name, new.parent.parent) == (path.name, tmp_path)
            assert (path.read_text() if path.exists() else None) == before
        assert path.read_text() == content
        assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_file(tmp_path, error):
    """And no part of the new one."""
    path = tmp_path / "study.csv"
    path.write_text("old")
    with pytest.raises(error), atomic_write(path) as new:
        new.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_body_that_writes_nothing_is_an_error(tmp_path):
    """Rather than an old file that is taken for the new one."""
    path = tmp_path / "study.csv"
    path.write_text("old")
    with pytest.raises(FileNotFoundError), atomic_write(path):
        pass
    assert path.read_text() == "old"


def test_a_missing_folder_is_an_error(tmp_path):
    """It is not created."""
    with (
        pytest.raises(FileNotFoundError, match=f"There is no folder: '{tmp_path}/no'$"),
        atomic_write(tmp_path / "no" / "study.csv"),
    ):
        pass
    assert not list(tmp_path.iterdir())


def test_a_new_file_has_the_usual_permissions(tmp_path):
    """Those of the process, not the private ones of a temporary file."""
    (tmp_path / "other").write_text("")
    with atomic_write(tmp_path / "study.csv") as new:
        new.write_text("new")
    assert (tmp_path / "study.csv").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_permissions_and_links_stay(tmp_path):
    """The target of a link is replaced, in its own folder."""
    (tmp_path / "data").mkdir()
    target, link = tmp_path / "data" / "study.csv", tmp_path / "latest.csv"
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to(target)
    with atomic_write(link) as new:
        new.write_text("new")
        assert new.parent.parent == target.parent
    assert link.is_symlink() and target.read_text() == "new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def pipe(path):
    os.mkfifo(path)


def listening(path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (pipe, OSError, "is no file that could be replaced"),
        (listening, OSError, "is no file that could be replaced"),
        (os.mkdir, IsADirectoryError, "is a folder: name a file in it"),
        (lambda path: path.symlink_to("/dev/null"), OSError, "/dev/null is no file that could be replaced"),
        (lambda path: path.symlink_to(path.parent), IsADirectoryError, "is a folder"),
    ],
)
def test_what_is_no_file_stays(make, error, message, tmp_path, monkeypatch):
    """A pipe, a socket, a device and a folder, behind links too."""
    # The names of sockets are short.
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "out"
    make(path if make is not listening else path.relative_to(tmp_path))
    before = path.lstat()
    with pytest.raises(error, match=message), atomic_write(path):
        raise AssertionError("It must not begin.")
    assert path.lstat() == before and list(tmp_path.iterdir()) == [path]
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_a_link_to_no_file_yet_is_written_where_it_leads(tmp_path):
    """As `open` does."""
    link = tmp_path / "latest.csv"
    link.symlink_to(tmp_path / "study.csv")
    with atomic_write(link) as new:
        new.write_text("new")
    assert link.is_symlink() and (tmp_path / "study.csv").read_text() == "new"


@pytest.mark.parametrize(
    ("mode", "owner", "folder_owner", "planted"),
    [
        (0o1777, 1, 0, True),
        (0o1777, 5, 0, False),
        (0o1777, 0, 0, False),
        (0o0777, 1, 0, False),
        (0o1755, 1, 0, False),
        (0o0755, 1, 5, False),
    ],
)
def test_links_that_anyone_may_have_planted_are_known(mode, owner, folder_owner, planted):
    """By the rule of the kernel, which `realpath` goes around: in `/tmp`, a link of neither the user nor its owner."""
    link, folder = (SimpleNamespace(st_uid=uid, st_mode=mode) for uid in (owner, folder_owner))
    assert is_planted(link, folder, user=5) == planted


@pytest.mark.parametrize("path", ["link.csv", "folder/file.csv"])
def test_a_planted_link_is_not_followed(path, tmp_path, monkeypatch):
    """Of the file, or of a folder on the way to it."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "file.csv").write_text("mine")
    (tmp_path / "folder").symlink_to(tmp_path / "real")
    (tmp_path / "link.csv").symlink_to(tmp_path / "real" / "file.csv")
    monkeypatch.setattr(module, "is_planted", lambda link, folder, user: stat.S_ISLNK(link.st_mode))
    with pytest.raises(PermissionError, match="is a link of another user"), atomic_write(tmp_path / path):
        raise AssertionError("It must not begin.")
    assert (tmp_path / "real" / "file.csv").read_text() == "mine"
    with atomic_write(tmp_path / "real" / "file.csv") as new:
        new.write_text("new")


def test_no_name_beside_the_file_can_be_foreseen(tmp_path):
    """What others have put there is neither written nor removed."""
    victim, path = tmp_path / "victim", tmp_path / "out.csv"
    victim.write_text("mine")
    names = [f"out.csv.{os.getpid()}.part", "out.csv.part", ".out.csv.tmp", "out.csv.tmp", "out.csv~", "out.csv.new"]
    for name in names:
        (tmp_path / name).symlink_to(victim)
    folders = []
    for _ in range(2):
        with atomic_write(path) as new:
            folders.append(new.parent)
            assert stat.S_IMODE(new.parent.stat().st_mode) == 0o700
            new.write_text("new")
    assert folders[0] != folders[1] and victim.read_text() == "mine"
    assert {p.name for p in tmp_path.iterdir()} == {"victim", "out.csv", *names}
