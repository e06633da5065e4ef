"""Optuna's journal in a bucket: immutable objects that all writers number in one order.

Knows Optuna's ``JournalStorage`` and fsspec, but nothing of searches, so that plain Optuna works with it too.
"""
