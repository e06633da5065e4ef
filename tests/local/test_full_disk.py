"""A local search whose disk takes no more: an error in plain words, and each trial that was told is kept."""

import errno
import os

import pytest

from flyteoptuna import Optimizer, load_study, suggest
from flyteoptuna.errors import SearchFailedError
from flyteoptuna.local import study_file
from flyteoptuna.local.worker_pool import WORKERS

NUMBERS = [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES]
X = suggest.float(0, 1)


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("number", NUMBERS)
def test_a_journal_that_cannot_be_written_ends_the_search(flows, monkeypatch, workers, number):
    """The error names the object, the cause, the number of trials that are kept, and the journal that has them."""
    monkeypatch.setenv(WORKERS, workers)
    monkeypatch.setattr(os, "link", os.link)
    flow = flows("flow_of_reused")
    flow.filling_calls.clear()
    with pytest.raises(SearchFailedError, match="A search ends where its journal cannot be") as failed:
        Optimizer(flow.filling, 2, 50, reuse_pods=True)(x=X, number=number)
    text = str(failed.value)
    assert ".json cannot be written: " in text and os.strerror(number) in text and "Flyte" not in text
    study = load_study(text.rpartition("as it stands: ")[2])
    ended = [trial for trial in study.trials if trial.state.is_finished()]
    assert 2 <= len(ended) < 50 and f"{len(ended)} of 50 trials have ended and are kept" in text
    assert all(trial.value == trial.params["x"] for trial in ended)


@pytest.mark.parametrize("number", NUMBERS)
def test_batches_go_on_without_their_file(flows, monkeypatch, said, number):
    """The study of all trials is returned, and a warning says that it is in memory only."""

    def refuse(path, _):
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(study_file, "_write", refuse)
    study = Optimizer(flows("flow_of_reused").line, 2, 6)(x=X)
    assert len(study.trials) == 6 and study.file is None
    assert [os.strerror(number) in text and "cannot be saved" in text for text in said] == [True]


@pytest.mark.parametrize("number", NUMBERS)
def test_a_search_that_fails_on_a_full_disk_says_why_it_failed(flows, monkeypatch, number):
    """The reason of the search comes first, and then that its study could not be saved."""
    from flyteoptuna.flyte import transfers

    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(transfers.Path, "write_bytes", refuse)
    with pytest.raises(SearchFailedError, match="`max_failures=1` was exceeded") as failed:
        Optimizer(flows("flow_of_reused").failing, 2, 50, reuse_pods=True, max_failures=1)(x=X)
    assert "could not be saved" in str(failed.value) and os.strerror(number) in str(failed.value)
