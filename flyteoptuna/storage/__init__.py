"""A study in memory, and as a file whose results can be read without unpickling.

This layer imports optuna, but not flytekit, and nothing of how a search runs.
"""
