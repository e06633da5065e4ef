"""Optuna's journal in a bucket: immutable objects, each made only where there is none, so that all writers agree.

Knows optuna's ``JournalStorage`` and fsspec, and nothing else of this package, so that plain Optuna works with it too.
"""
