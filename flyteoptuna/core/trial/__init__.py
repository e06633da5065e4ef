"""One trial where it runs: as the objective sees it, the call of the objective, and the report of what became of it.

Python's library alone, as all of ``core``.
"""
