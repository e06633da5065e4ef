"""Flyte types: those of a study's attributes, the casts of Flyte's compiler, and the conversion of literals."""
