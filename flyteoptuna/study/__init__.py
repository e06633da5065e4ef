"""What a search does with its study: begin, ask a trial, tell a batch, decide whether to go on, say how far it is.

Asking and telling run the user's sampler, constraints and callbacks, and outlive what these raise. Knows optuna,
``core`` and ``storage``; must not know flytekit, so that all of it runs and is tested anywhere.
"""
