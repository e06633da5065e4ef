"""The sampler for parallel searches: its search space as numbers, its Gaussian process, and its choice of a trial.

It works with any Optuna study and knows nothing of Flyte. Its state is a seed and what the study holds.
"""
