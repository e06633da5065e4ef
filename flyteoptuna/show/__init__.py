"""What people see: the log and its bar, a study found and loaded, written for other tools, or drawn as a page.

Knows studies, wherever they are stored. Must not know the graph, nor run anything.
"""
