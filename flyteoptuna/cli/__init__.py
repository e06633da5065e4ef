"""The command line, a module for each command, and ``pyflyte``'s option for a study.

Uses what a user of Python could use, and says errors in one line.
"""
