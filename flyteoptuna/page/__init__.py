"""HTML pages of a study, readable offline: the deck of a running search and the report of a finished one.

May import Optuna and the layers of studies; must not import searches or know where a page is shown.
"""
