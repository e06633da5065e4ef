"""One pod: its command in a process of its own, the literals that go in and out, what a test does to it.

Knows nothing of graphs, nor of searches.
"""
