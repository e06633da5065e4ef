"""The suggestions of a search: their rules, their place in the inputs, and the types of the inputs.

Imports neither optuna nor flytekit, because the pods of trials load it.
"""
