"""Load a stored study from a file, a URL or an execution, and export a study for other tools.

May import the layers of studies, journals and Flyte; must not import searches or run anything.
"""
