"""Flyte's cache of task outputs (`datacatalog/transformer.go`)."""

from __future__ import annotations

import hashlib
import threading
from typing import Any

from flyteidl.core import literals_pb2 as pb

from flyteoptuna.testing.pods.literals import Literals


class Cache:
    """Outputs by task and inputs; may be handed from one engine to another."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, ...], Literals] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: tuple[str, ...]) -> Literals | None:
        """Return the outputs stored for a key, or None."""
        with self._lock:
            return self._entries.get(key)

    def put(self, key: tuple[str, ...], outputs: Literals) -> None:
        """Store outputs; a key that is stored already keeps what it has, as in the catalog."""
        with self._lock:
            self._entries.setdefault(key, outputs)


def cache_key(template: Any, inputs: Literals) -> tuple[str, ...] | None:
    """Return the key of a call of a task, or None if the task is not cached.

    The task's version is no part of it: project, domain, name, cache version, the interface and the inputs are,
    without those inputs that the task ignores. A literal's own hash stands for its content.
    """
    metadata = template.metadata
    if not metadata.discoverable:
        return None
    ignored = set(metadata.cache_ignore_input_vars)
    named = sorted((name, fingerprint(literal)) for name, literal in inputs.items() if name not in ignored)
    signature = template.interface.SerializeToString(deterministic=True)
    task = (template.id.project, template.id.domain, template.id.name)
    return (*task, metadata.discovery_version.strip(" "), _hash(signature), _hash(repr(named).encode()))


def fingerprint(literal: pb.Literal) -> str:
    """Return a hash of a literal's content."""
    if literal.hash:
        return f"hash:{literal.hash}"
    if literal.HasField("collection"):
        return _hash(repr([fingerprint(item) for item in literal.collection.literals]).encode())
    if literal.HasField("map"):
        items = sorted((key, fingerprint(item)) for key, item in literal.map.literals.items())
        return _hash(repr(items).encode())
    return _hash(literal.SerializeToString(deterministic=True))


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
