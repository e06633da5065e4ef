"""One trial where it runs: as the objective sees it, the call, which judges what is returned, and the report of that.

Python's library alone, as all of ``core``.
"""
