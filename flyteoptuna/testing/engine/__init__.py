"""A workflow's protobufs followed as Flyte does: nodes, bindings, dynamic tasks, branches, maps, retries and the cache.

Knows nothing of searches, nor of what a user passes to `run`.
"""
