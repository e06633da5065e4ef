"""Flyte's types: those of a study, what casts to what, and literals brought to the type that an input declares."""
