"""Python values as text and as JSON, checks of fields, and objects that refuse to be computed with.

The bottom layer: Python's library alone, and no other module of the package.
"""
