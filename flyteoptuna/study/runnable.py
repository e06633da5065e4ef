"""Whether a sampler has the packages that it imports when it first suggests."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

from optuna.samplers import BaseSampler

_NEEDS = {"GPSampler": ("torch", "scipy"), "CmaEsSampler": ("cmaes",), "QMCSampler": ("scipy",)}
"""Packages that optuna's samplers import late, which optuna itself does not bring."""


def check(sampler: BaseSampler) -> None:
    """Refuse a sampler that would fail once it has something to learn from.

    Raises:
        ImportError: a package is not installed that it, or one of the samplers that it is made of, needs.
    """
    for part in _parts(sampler, set()):
        for kind in type(part).__mro__:
            for package in _NEEDS.get(kind.__name__, ()) if kind.__module__.startswith("optuna.") else ():
                if find_spec(package) is None:
                    raise ImportError(
                        f"{kind.__name__} needs the package {package}, which is not installed where the search is run: "
                        "install it, or add it to the objective's image."
                    )


def _parts(sampler: BaseSampler, seen: set[int]) -> Iterator[BaseSampler]:
    """A sampler and those that it is made of."""
    if id(sampler) in seen:
        return
    seen.add(id(sampler))
    yield sampler
    for value in getattr(sampler, "__dict__", {}).values():
        if isinstance(value, BaseSampler):
            yield from _parts(value, seen)
