"""What the engine's own tests share."""

import pytest
from containers import CODE

from flyteoptuna.testing.engine.engine import Engine


@pytest.fixture
def flows(monkeypatch):
    """The workflows that the engine is tried on."""
    monkeypatch.syspath_prepend(str(CODE))
    import engine_flows

    return engine_flows


@pytest.fixture
def engine(tmp_path):
    """An engine without faults."""
    return Engine(tmp_path, CODE)
