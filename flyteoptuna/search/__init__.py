"""A search from beginning to end: as a graph of Flyte, each of whose pods does one step, or as a local run.

Both walk the same plan and call the same ask, run and tell. May import every other folder but ``cli``; knows nothing of
what a user may write and what is refused, which is the business of the modules at the top.
"""
