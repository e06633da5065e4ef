"""JSON schemas as Flyte's compiler compares them, where a dataclass or a model is bound to another one.

Source: ``isSuperTypeInJSON`` in ``flytepropeller/pkg/compiler/validators/typing.go`` at v1.16.8, which compares with
``json-schema-compare`` what ``santhosh-tekuri/jsonschema`` 1.2.4 has read as draft 7.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct

_UNKNOWN = "not implemented"
"""A difference that the comparison does not look into; Flyte lets it pass, but for variants of an `anyOf`."""
_ANY: dict[str, Any] = {}


class Malformed(ValueError):
    """A schema that Flyte's compiler cannot read."""


def schemas_cast(upstream: Struct, downstream: Struct) -> bool:
    """Whether Flyte's compiler takes what has one JSON schema for what has another."""
    source, target = MessageToDict(upstream), MessageToDict(downstream)
    if source == target:
        return True
    if not source or not target:
        return False
    try:
        return all(found == _UNKNOWN for found in _Comparison(target, source).differences(target, source))
    except (Malformed, RecursionError):
        return False


class _Comparison:
    """Compares two schemas, each with the definitions of its own document."""

    def __init__(self, subset: Mapping[str, Any], superset: Mapping[str, Any]) -> None:
        self._documents = subset, superset

    def _resolved(self, schema: Any, document: Mapping[str, Any]) -> dict[str, Any]:
        """A schema, with its reference followed; a schema that is true or false has no rules."""
        if isinstance(schema, bool):
            return _ANY
        if not isinstance(schema, dict):
            raise Malformed(f"A schema must be an object, but got {schema!r}.")
        if "$schema" in schema and schema is document and schema["$schema"] not in _DRAFTS:
            raise Malformed(f"Unknown `$schema`: {schema['$schema']!r}.")
        if "$ref" not in schema:
            return schema
        found: Any = document
        for step in str(schema["$ref"]).removeprefix("#").strip("/").split("/"):
            if step:
                try:
                    found = found[int(step)] if isinstance(found, list) else found[_unescaped(step)]
                except (LookupError, TypeError, ValueError) as error:
                    raise Malformed(f"Unknown `$ref`: {schema['$ref']!r}.") from error
        return self._resolved(found, document)

    def differences(self, subset: Any, superset: Any) -> Iterator[str]:
        """What keeps the superset from being taken for the subset."""
        sub, sup = (
            self._resolved(schema, doc) for schema, doc in zip((subset, superset), self._documents, strict=True)
        )
        types, others = _types(sub), _types(sup)
        if types - others or {other for other in others - types if types or other != "object"}:
            yield f"types {types} and {others}"
        if "string" in types:
            yield from _strings(sub, sup)
        if "number" in types:
            yield from _numbers(sub, sup)
        if "array" in types:
            yield from self._arrays(sub, sup)
        if "object" in types or not types:
            yield from self._objects(sub, sup)
        for name in ("allOf", "anyOf", "oneOf"):
            yield from self._variants(name, sub.get(name) or [], sup.get(name) or [])
        if "const" in sub and ("const" not in sup or sub["const"] != sup["const"]):
            yield "const"

    def _variants(self, name: str, sub: list[Any], sup: list[Any]) -> Iterator[str]:
        if bool(sub) != bool(sup) or not all(any(not self._deep(mine, other) for mine in sub) for other in sup):
            yield name

    def _deep(self, subset: Any, superset: Any) -> list[str]:
        always = [schema if isinstance(schema, bool) else None for schema in (subset, superset)]
        if always[0] != always[1]:
            return ["always"]
        return [*self.differences(subset, superset)]

    def _arrays(self, sub: dict[str, Any], sup: dict[str, Any]) -> Iterator[str]:
        yield from _limits(sub, sup, "minItems", "maxItems")
        if "items" in sub:
            mine, other = sub["items"], sup.get("items", _ANY)
            if "items" not in sup or isinstance(mine, list) != isinstance(other, list):
                yield "items"
            elif not isinstance(mine, list):
                yield from self.differences(mine, other)
            elif len(mine) != len(other):
                yield "items"
            else:
                for pair in zip(mine, other, strict=True):
                    yield from self.differences(*pair)
        if any(isinstance(schema.get("items"), list) for schema in (sub, sup)):
            yield _UNKNOWN
        if sub.get("uniqueItems") and not sup.get("uniqueItems"):
            yield "uniqueItems"

    def _objects(self, sub: dict[str, Any], sup: dict[str, Any]) -> Iterator[str]:
        if any(schema.get("additionalProperties", True) is not True for schema in (sub, sup)):
            yield _UNKNOWN
        if {*sub.get("required", ())} - {*sup.get("required", ())}:
            yield "required"
        yield from _limits(sub, sup, "minProperties", "maxProperties")
        if any(schema.get(name) for schema in (sub, sup) for name in ("dependencies", "patternProperties")):
            yield _UNKNOWN
        if "not" in sub or "not" in sup:
            yield _UNKNOWN
        yield from self._conditions(sub, sup)
        for name, schema in sub.get("properties", {}).items():
            if name not in sup.get("properties", {}):
                yield f"properties.{name}"
            else:
                yield from self.differences(schema, sup["properties"][name])

    def _conditions(self, sub: dict[str, Any], sup: dict[str, Any]) -> Iterator[str]:
        # A condition without a consequence is none.
        has = [schema.get("if") is not None and bool(schema.keys() & {"then", "else"}) for schema in (sub, sup)]
        for name in ("if", "then", "else"):
            mine, other = (name in schema and held for schema, held in zip((sub, sup), has, strict=True))
            if mine != other:
                yield name
            elif mine and (found := self._deep(sub[name], sup[name])):
                yield name
                yield from found


_DRAFTS = tuple(f"http://json-schema.org/{name}schema#" for name in ("", "draft-07/", "draft-06/", "draft-04/"))


def _unescaped(step: str) -> str:
    return step.replace("~1", "/").replace("~0", "~")


def _types(schema: Mapping[str, Any]) -> set[str]:
    found = schema.get("type", [])
    return {found} if isinstance(found, str) else {*found}


def _limits(sub: Mapping[str, Any], sup: Mapping[str, Any], least: str, most: str) -> Iterator[str]:
    if least in sub and (least not in sup or sup[least] < sub[least]):
        yield least
    if most in sub and (most not in sup or sup[most] > sub[most]):
        yield most


def _strings(sub: Mapping[str, Any], sup: Mapping[str, Any]) -> Iterator[str]:
    if sub.get("format", "") != sup.get("format", ""):
        yield "format"
    if "enum" in sub:
        if not all(isinstance(value, str) for value in (*sub["enum"], *sup.get("enum", ()))):
            raise Malformed("Each value of an enum of strings must be one.")
        # The comparison knows the empty text as one of any enum.
        if {*sup.get("enum", ())} - {*sub["enum"], ""}:
            yield "enum"
    if "pattern" in sub:
        if "pattern" not in sup:
            raise Malformed("The comparison ends where one schema alone has a pattern.")
        if sub["pattern"] != sup["pattern"]:
            yield "pattern"
    yield from _limits(sub, sup, "minLength", "maxLength")


def _numbers(sub: Mapping[str, Any], sup: Mapping[str, Any]) -> Iterator[str]:
    yield from _limits(sub, sup, "minimum", "maximum")
    if any(name in schema for schema in (sub, sup) for name in ("exclusiveMinimum", "exclusiveMaximum")):
        yield _UNKNOWN
    steps = [schema["multipleOf"] for schema in (sub, sup) if "multipleOf" in schema]
    if len(steps) == 1:
        raise Malformed("The comparison ends where one schema alone has a step.")
    if steps:
        if not all(float(step).is_integer() for step in steps):
            yield _UNKNOWN
        if int(steps[0]) == 0:
            raise Malformed("The comparison divides by a step below 1.")
        if int(steps[1]) % int(steps[0]):
            yield "multipleOf"
