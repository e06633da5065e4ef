"""What a search does with its study: begin, ask a trial, tell a batch, decide whether to go on, say how far it is.

Knows optuna, ``core`` and ``storage``; must not know flytekit, so that all of it runs and is tested anywhere.
"""
