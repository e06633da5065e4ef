"""What the tests of journals share."""

import pytest

from flyteoptuna.journal import backend as journal
from flyteoptuna.journal import object_store


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(object_store, "PAUSE", 0)


@pytest.fixture
def small_packs(monkeypatch):
    monkeypatch.setattr(journal, "PACK", 3)
