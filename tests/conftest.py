"""What all tests share."""

import optuna
import pytest
from containers import CODE

optuna.logging.set_verbosity(optuna.logging.ERROR)


@pytest.fixture
def flows(monkeypatch):
    """Import a module of flows as a pod does."""
    monkeypatch.syspath_prepend(str(CODE))
    return __import__
