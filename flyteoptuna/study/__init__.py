"""One search on a study: ask and tell trials, progress, stopping, and the study that workers share.

Asking and telling run the user's sampler, constraints and callbacks, and turn their exceptions into failed trials. This
layer imports optuna, but not flytekit, so it runs and is tested without Flyte.
"""
