"""Private APIs of Optuna, flytekit and cloudpickle, one module for each, behind functions that say what they return.

Tests fail when a library changes them. Imports no other layer.
"""
