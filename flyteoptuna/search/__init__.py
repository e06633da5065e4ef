"""A search as Flyte runs it: its requests, settings and steps, the graph of batches, and reused pods.

Imports all layers below it. Does not know what a user may pass, which the modules at the top check.
"""
