"""Quiet libraries, so that a failure can be read."""

import optuna

optuna.logging.set_verbosity(optuna.logging.ERROR)
