"""What flytekit has to be taught: studies as types, reports delivered to drivers, values unread, tasks found again.

Knows flytekit, and what is below: ``core``, ``storage`` and ``study``. Must not know what a search is made of.
"""
