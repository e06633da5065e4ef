"""Flyte's compiler: workflows and the graphs of dynamic tasks are refused as flytepropeller 1.16.8 refuses them.

Source: ``flytepropeller/pkg/compiler`` at v1.16.8. Knows nothing of pods, nor of searches.
"""
