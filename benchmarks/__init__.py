"""Benchmarks of flyteoptuna: ratios, measured side by side in one run."""
