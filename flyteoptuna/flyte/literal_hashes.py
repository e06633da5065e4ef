"""Hashes of literals, by which Flyte caches. The constants of a dynamic task's graph would lose them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

from flytekit.models.literals import Literal, LiteralCollection, LiteralMap

from flyteoptuna.flyte.references import Reference, make_reference

# The hash of a literal, or those of its elements by key or position, as JSON.
Hashes: TypeAlias = str | dict[str, Any]


class HashedInputs(NamedTuple):
    """Inputs with hashes: their names, and a digest in which a hash stands for the content that it belongs to."""

    names: tuple[str, ...]
    digest: str


NO_HASHES = HashedInputs((), "")


def input_hashes(inputs: Mapping[str, Reference]) -> dict[str, Hashes]:
    """Hashes of the inputs that have any, by name."""
    return {name: hashes for name, value in inputs.items() if (hashes := _hashes_of(value.literal))}


def restore_hashes(inputs: Mapping[str, Reference], hashes: Mapping[str, Hashes]) -> dict[str, Reference]:
    """The inputs with the hashes that ``input_hashes`` found before they were bound."""
    return {name: _with_hashes(value, hashes[name]) if name in hashes else value for name, value in inputs.items()}


def hashed_inputs(inputs: Mapping[str, Reference]) -> HashedInputs:
    """Those of the inputs that have hashes."""
    names = sorted(input_hashes(inputs))
    content = b"\0".join(name.encode() + b"\0" + hashed_content(inputs[name]) for name in names)
    return HashedInputs(tuple(names), hashlib.sha256(content).hexdigest()[:16] if names else "")


def hashed_content(value: Reference) -> bytes:
    """Content of a literal, in which hashes stand for what they belong to: equal for equal cached calls."""
    return Reference(_hashed(value.literal)).serialised() if _hashes_of(value.literal) else value.serialised()


def _hashes_of(literal: Literal) -> Hashes:
    if literal.hash:
        return str(literal.hash)
    return {key: hashes for key, item in _elements(literal).items() if (hashes := _hashes_of(item))}


def _with_hashes(value: Reference, hashes: Hashes) -> Reference:
    literal = Literal.from_flyte_idl(value.literal.to_flyte_idl())
    _set_hashes(literal, hashes)
    return make_reference(literal)


def _set_hashes(literal: Literal, hashes: Hashes) -> None:
    if isinstance(hashes, str):
        literal.hash = hashes
        return
    elements = _elements(literal)
    for key, inner in hashes.items():
        _set_hashes(elements[key], inner)


def _hashed(literal: Literal) -> Literal:
    """A copy of a literal in which hashes replace content, as in Flyte's ``datacatalog/transformer.go``."""
    if literal.hash:
        return Literal(hash=literal.hash)
    elements = {key: _hashed(item) for key, item in _elements(literal).items()}
    if literal.collection is not None:
        return Literal(collection=LiteralCollection([*elements.values()]))
    return literal if literal.map is None else Literal(map=LiteralMap(elements))


def _elements(literal: Literal) -> dict[str, Literal]:
    if literal.collection is not None:
        return {str(index): item for index, item in enumerate(literal.collection.literals)}
    return {} if literal.map is None else dict(literal.map.literals)
