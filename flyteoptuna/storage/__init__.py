"""How a study is kept: in memory, and as a file whose results anybody can read without unpickling.

Knows optuna's studies and trials, and nothing of searches, of flytekit or of this package's other folders.
"""
