"""Records that come back from the ranks of a trial, by files."""

import math

import pytest

from flyteoptuna.trial.current_trial import ActiveTrial
from flyteoptuna.trial.rank_records import RANK, RankFile, RankRecords, RankTrial, read_rank_records

NOTHING = RankRecords()


def rank_file(monkeypatch, folder, rank, parent=None):
    if rank is None:
        monkeypatch.delenv(RANK, raising=False)
    else:
        monkeypatch.setenv(RANK, rank)
    return RankFile(str(folder), parent)


def rank_trial(file):
    trial = RankTrial(3, {"x": 1})
    trial.write_to(file.write)
    return trial


def test_what_a_rank_records_is_read_as_it_was_set(monkeypatch, tmp_path):
    """Values of any kind, the first of a step, the last of an attribute, and at once."""
    file = rank_file(monkeypatch, tmp_path, "0")
    trial = rank_trial(file)
    trial.report(math.inf, 0)
    trial.report(-0.5, 2**62)
    trial.set_user_attr("a", {"b": [1, None]})
    trial.set_user_attr("a", "line\nbreak \u2028")
    trial.set_user_attr("huge", "x" * 10_000_000)
    trial.set_constraint("c", 1)
    trial.set_system_attrs({"completed_rung_0": 0.5})
    file.write("pruner", "learned")
    file.write("raised", [1.0, "FAIL", "ValueError: no"])
    [records] = read_rank_records(str(tmp_path))
    assert records.intermediate == trial.intermediate
    assert ({**records.user_attrs}, records.system_attrs) == trial.close()[1:]
    assert (records.pruner, records.raised) == ("learned", (1.0, "FAIL", "ValueError: no"))


@pytest.mark.parametrize("cut", range(1, 30))
def test_a_rank_that_was_killed_while_it_wrote_keeps_the_lines_before(monkeypatch, tmp_path, cut):
    """However much of the last line is there."""
    trial = rank_trial(rank_file(monkeypatch, tmp_path, "0"))
    trial.report(1.0, 0)
    [path] = tmp_path.iterdir()
    whole = path.read_bytes()
    trial.report(2.0, 1)
    path.write_bytes(path.read_bytes()[: len(whole) + cut])
    [records] = read_rank_records(str(tmp_path))
    assert records.intermediate in ({0: 1.0}, {0: 1.0, 1: 2.0})
    assert 1 not in records.intermediate or path.read_bytes().endswith(b"\n")


def test_ranks_are_read_by_their_number_and_each_by_its_last_start(monkeypatch, tmp_path):
    """A process without a number of its own is a rank of its own."""
    for rank, parent in [("10", None), ("2", "7"), ("2", "7"), ("7", "7"), (None, None), ("x", None)]:
        rank_file(monkeypatch, tmp_path, rank, parent).write("pruner", f"{rank} {len([*tmp_path.iterdir()])}")
    assert [records.pruner for records in read_rank_records(str(tmp_path))] == ["2 2", "10 0", "x 5"]
    assert read_rank_records(str(tmp_path / "none")) == []


def test_a_record_that_cannot_be_written_is_lost_with_a_warning(monkeypatch, tmp_path):
    """A rank on another machine does not find the folder, and its work counts all the same."""
    trial = rank_trial(rank_file(monkeypatch, tmp_path / "elsewhere", "0"))
    with pytest.warns(UserWarning, match="A record of a trial in a rank is lost: FileNotFoundError"):
        trial.report(1.0, 0)
    assert trial.intermediate == {0: 1.0}


def test_records_are_added_where_the_trial_has_none():
    """What was set here stays; the first that are added stay too."""
    trial = ActiveTrial(3)
    trial.report(1.0, 0)
    trial.set_user_attr("a", 1)
    trial.set_constraint("c", 0.5)
    trial.add_missing_records({0: 9.0, 1: 2.0}, {"a": "9", "b": "2"}, {"constraints:c": 9.0, "rung": 2.0})
    trial.add_missing_records({1: 8.0, 2: 3.0}, {"b": "8"}, {"rung": 8.0})
    assert trial.intermediate == {0: 1.0, 1: 2.0, 2: 3.0}
    assert trial.user_attrs == {"a": 1, "b": 2}
    assert trial.system_attrs == {"constraints:c": 0.5, "rung": 2.0}
