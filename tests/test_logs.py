"""What a user did not ask for is not said, and the log is the user's own again afterwards."""

import logging

import optuna
import pytest

from flyteoptuna.logs import optuna_log_level


def test_optuna_says_less_for_a_while(caplog):
    """Whatever happens meanwhile."""
    optuna.logging.set_verbosity(optuna.logging.INFO)
    optuna.logging.enable_propagation()
    try:
        with pytest.raises(KeyError), optuna_log_level(logging.WARNING):
            assert optuna.logging.get_verbosity() == logging.WARNING
            optuna.create_study(study_name="silent")
            raise KeyError
        optuna.create_study(study_name="said")
    finally:
        optuna.logging.disable_propagation()
        optuna.logging.set_verbosity(optuna.logging.ERROR)
    assert "said" in caplog.text and "silent" not in caplog.text
