"""The command line, with a module for each command, and the ``pyflyte run`` option for a study.

May import the layers that a Python user may use; must not run a search. Prints each error as one line.
"""
