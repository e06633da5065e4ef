"""Read the stored outputs of trials. Those that are not trusted are read only as what cannot be a pickle."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, get_args

from flytekit.core.type_engine import TypeEngine
from flytekit.models import types as model_types
from flytekit.models.literals import Literal

from flyteoptuna.errors import UntrustedError
from flyteoptuna.flyte.references import Reference, literal_value
from flyteoptuna.values.annotated import strip_annotated
from flyteoptuna.values.text import safe_repr

# Type of an output that is read as what its literal shows.
SHOWN = object()
# Formats of data frames that flytekit itself reads, without unpickling.
_FRAME_FORMATS = ("", "parquet", "csv")


def map_literal(literal: Literal, convert: Callable[[Literal], Any]) -> Any:
    """Convert a literal, or each element of a list or a dictionary."""
    if literal.collection is not None:
        return [map_literal(item, convert) for item in literal.collection.literals]
    if literal.map is not None:
        return {key: map_literal(item, convert) for key, item in literal.map.literals.items()}
    if literal.scalar is not None and literal.scalar.union is not None:
        return map_literal(literal.scalar.union.value, convert)
    return convert(literal)


def read_output(literal: Literal, python_type: Any = SHOWN, *, trusted: bool) -> Any:
    """Read an output as a type, or as the type that its literal shows.

    Raises:
        UntrustedError: it is not ``trusted``, and may be a pickle.
    """
    if not trusted:
        refuse_pickles(literal, python_type)
    return map_literal(literal, _read_shown) if python_type is SHOWN else Reference(literal).read(python_type)


def _read_shown(literal: Literal) -> Any:
    shown = _shown_type(literal)
    return literal_value(literal) if shown is None else Reference(literal).read(shown)


def _shown_type(literal: Literal) -> Any:
    """Python type of a literal of a file or a frame; None for a value that the literal itself holds."""
    scalar = literal.scalar
    if scalar.blob is not None:
        kind = model_types.LiteralType(blob=scalar.blob.metadata.type)
    elif scalar.structured_dataset is not None:
        metadata = scalar.structured_dataset.metadata
        kind = model_types.LiteralType(structured_dataset_type=metadata.structured_dataset_type)
    elif scalar.schema is not None:
        kind = model_types.LiteralType(schema=scalar.schema.type)
    else:
        return None
    return TypeEngine.guess_python_type(kind)


def refuse_pickles(literal: Literal, python_type: Any = SHOWN) -> None:
    """Raise an ``UntrustedError`` unless reading a literal as a type cannot unpickle anything, whatever it holds."""
    leaves: list[Literal] = []
    map_literal(literal, leaves.append)
    reason = next(filter(None, map(_find_pickle, leaves)), "")
    if not reason:
        types = filter(None, map(_shown_type, leaves)) if python_type is SHOWN else [python_type]
        reason = next((f"would be read as {safe_repr(kind)}" for kind in types if not _is_safe(kind)), "")
    if reason:
        raise UntrustedError(
            f"it {reason}, so it may be a pickle, which can run any code, and its study comes from a source that is "
            "not trusted. If you trust whoever wrote it, pass trusted=True to `outputs`, or to `load_study` when you "
            "load it first."
        )


def _find_pickle(leaf: Literal) -> str:
    """Describe a literal that flytekit unpickles, or may unpickle, whatever type it is read as; empty for any other."""
    if leaf.scalar is None:
        return "is in another file"
    if (leaf.metadata or {}).get("format") == "pickle":
        return "is a dictionary of the format 'pickle'"
    frame = leaf.scalar.structured_dataset
    if frame is not None and frame.metadata.structured_dataset_type.format not in _FRAME_FORMATS:
        return f"is a data frame of the format {safe_repr(frame.metadata.structured_dataset_type.format)}"
    return ""


def _is_safe(python_type: Any) -> bool:
    """Test whether flytekit reads a type without unpickling: only types that are known to be so."""
    from flytekit.core import type_engine
    from flytekit.types.directory.types import FlyteDirToMultipartBlobTransformer
    from flytekit.types.file.file import FlyteFilePathTransformer
    from flytekit.types.structured.structured_dataset import StructuredDatasetTransformerEngine

    if python_type is getattr(sys.modules.get("numpy"), "ndarray", None):
        # Only an annotation of the type lets flytekit unpickle the elements of an array.
        return True
    # By the exact class of the transformer, because flytekit pickles each type for which it has none.
    transformer = type(TypeEngine.get_transformer(python_type))
    if transformer is type_engine.ListTransformer:
        elements: tuple[Any, ...] = (type_engine.ListTransformer.get_sub_type_or_none(python_type),)
    elif transformer is type_engine.DictTransformer:
        elements = type_engine.DictTransformer.extract_types(python_type)[1:]
    elif transformer is type_engine.UnionTransformer:
        elements = get_args(strip_annotated(python_type))
    else:
        return transformer in {
            type_engine.SimpleTransformer,
            type_engine.EnumTransformer,
            # Flytekit 1.15 has none.
            getattr(type_engine, "LiteralTypeTransformer", None),
            # It decodes fields by itself, never by other transformers.
            type_engine.DataclassTransformer,
            FlyteFilePathTransformer,
            FlyteDirToMultipartBlobTransformer,
            StructuredDatasetTransformerEngine,
        }
    return all(_is_safe(element) for element in elements if element is not None)
