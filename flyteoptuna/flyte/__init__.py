"""Extensions of flytekit: studies as a type, reports of trials, values passed by reference, reconstruction of tasks.

It knows flytekit and the layers below. It must not know how a search is made.
"""
