"""What the tests of journals share."""

import pytest

from flyteoptuna.journal import packs
from flyteoptuna.values import retries


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(retries, "sleep", lambda seconds: None)


@pytest.fixture
def small_packs(monkeypatch):
    monkeypatch.setattr(packs, "PACK", 3)
