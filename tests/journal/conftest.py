"""What the tests of journals share."""

import pytest

from flyteoptuna.journal import backend as journal
from flyteoptuna.journal import objects


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(objects, "PAUSE", 0)


@pytest.fixture
def small_packs(monkeypatch):
    monkeypatch.setattr(journal, "PACK", 3)
