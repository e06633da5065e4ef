"""Compile workflows and the graphs of dynamic tasks by the rules of flytepropeller 1.16.8.

Source: ``flytepropeller/pkg/compiler`` at v1.16.8. Independent of pods and searches.
"""
