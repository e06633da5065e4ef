"""Cache of task outputs with Flyte's keys (``datacatalog/transformer.go``)."""

from __future__ import annotations

import hashlib
import threading
from typing import Any

from flyteidl.core import literals_pb2 as pb

from flyteoptuna.testing.pods.literals import Literals


class Cache:
    """Task outputs by task and inputs. Several runs can share it."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, ...], Literals] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: tuple[str, ...]) -> Literals | None:
        """Return the outputs of a key; None if there are none."""
        with self._lock:
            return self._entries.get(key)

    def put(self, key: tuple[str, ...], outputs: Literals) -> None:
        """Store outputs. An existing entry is kept, as in Flyte's catalog."""
        with self._lock:
            self._entries.setdefault(key, outputs)


def cache_key(template: Any, inputs: Literals) -> tuple[str, ...] | None:
    """Return the cache key of a task call; None if the task is not cached.

    It consists of the task's project, domain, name, cache version and interface, and the inputs that the task does
    not ignore. The task's version is no part of it. A literal's own hash replaces its content.
    """
    metadata = template.metadata
    if not metadata.discoverable:
        return None
    ignored = set(metadata.cache_ignore_input_vars)
    input_hashes = sorted((name, literal_hash(literal)) for name, literal in inputs.items() if name not in ignored)
    signature = template.interface.SerializeToString(deterministic=True)
    task = (template.id.project, template.id.domain, template.id.name)
    return (*task, metadata.discovery_version.strip(" "), _sha256(signature), _sha256(repr(input_hashes).encode()))


def literal_hash(literal: pb.Literal) -> str:
    """Return a hash of a literal's content."""
    if literal.hash:
        return f"hash:{literal.hash}"
    if literal.HasField("collection"):
        return _sha256(repr([literal_hash(item) for item in literal.collection.literals]).encode())
    if literal.HasField("map"):
        items = sorted((key, literal_hash(item)) for key, item in literal.map.literals.items())
        return _sha256(repr(items).encode())
    return _sha256(literal.SerializeToString(deterministic=True))


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
