"""Execute a workflow's protobufs as flytepropeller does: nodes, bindings, branches, maps, retries and the cache.

Independent of searches and of the public ``run``.
"""
