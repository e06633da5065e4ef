"""Run one pod: its command in a separate process, its literals, and the faults that tests inject.

Independent of graphs and searches.
"""
