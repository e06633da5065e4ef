"""What flytekit has to be taught: studies and reports as types, values that pass unread, tasks that are found again.

Knows flytekit, and what is below: ``core``, ``storage`` and ``study``. Must not know what a search is made of.
"""
