"""One call of the objective: ``current_trial()``, the call itself, and the report of what happened.

Runs in the pods of trials, so that it imports neither optuna nor flytekit.
"""
