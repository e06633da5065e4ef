"""A study as a page of HTML, readable offline: the deck of a running search, and the report of a finished one.

Knows optuna and ``study``; must not know where the page is shown.
"""
