"""Types without their annotations."""

from __future__ import annotations

from typing import Annotated, Any, get_args, get_origin


def strip_annotated(annotation: Any) -> Any:
    """The type ``T`` of ``Annotated[T, ...]``; any other type unchanged."""
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
