"""Suggestions, the plan of a search, one call of the objective and its report: plain Python.

Imports nothing but Python's library, neither optuna nor flytekit, so that a trial's pod pays for nothing else.
"""
