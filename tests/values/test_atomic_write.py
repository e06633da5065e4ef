"""Atomic replacement of a file."""

import stat

import pytest

from flyteoptuna.values.atomic_write import atomic_write


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
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "no" / "study.csv"):
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
