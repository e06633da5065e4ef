"""JSON schemas as Flyte's compiler compares them, where a dataclass or a model is bound to another one.

Source: ``isSuperTypeInJSON`` in ``flytepropeller/pkg/compiler/validators/typing.go`` at v1.16.8, which compares with
``json-schema-compare`` what ``santhosh-tekuri/jsonschema`` 1.2.4 has read as draft 7.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct
from jsonschema import Draft7Validator, FormatChecker

_UNKNOWN = "not implemented"
"""A difference that the comparison does not look into; Flyte lets it pass, but for variants of an `anyOf`."""
_ALWAYS: dict[str, Any] = {"minProperties": 0, "maxProperties": 0}
"""A schema that is true or false, as the comparison reads it."""
_FORMATS = (
    *("date-time", "date", "time", "hostname", "email", "ip-address", "ipv4", "ipv6", "uri", "iri", "uri-reference"),
    *("uriref", "iri-reference", "uri-template", "regex", "json-pointer", "relative-json-pointer"),
)
"""The formats that Flyte's reader knows. A schema with any other is malformed, that of a path or a timedelta too."""


class Malformed(ValueError):
    """A schema that Flyte's compiler cannot read."""


def schemas_cast(upstream: Struct, downstream: Struct) -> bool:
    """Whether Flyte's compiler takes what has one JSON schema for what has another."""
    if upstream == downstream:
        return True
    source, target = (_read(each.SerializeToString(deterministic=True)) for each in (upstream, downstream))
    if source is None or target is None:
        return False
    try:
        return all(_UNKNOWN in found for found in _Comparison(target, source).differences(target, source))
    except (Malformed, RecursionError):
        return False


@functools.lru_cache(1024)
def _read(serialised: bytes) -> dict[str, Any] | None:
    """A schema as Flyte's compiler reads it; None for one that is empty or malformed."""
    schema = MessageToDict(Struct.FromString(serialised))
    known = schema.get("$schema", _DRAFTS[0]) in _DRAFTS
    return schema if schema and known and _reader().is_valid(schema) and _refers(schema, schema) else None


def _refers(schema: Any, document: Mapping[str, Any]) -> bool:
    """Whether each reference leads somewhere. Definitions are read where something refers to them."""
    if isinstance(schema, list):
        return all(_refers(each, document) for each in schema)
    if not isinstance(schema, dict):
        return True
    if isinstance(schema.get("$ref"), str):
        return _find(schema["$ref"], document) is not None
    passed = ("definitions", "$defs", "default", "examples", "const", "enum")
    return all(_refers(each, document) for name, each in schema.items() if name not in passed)


def _find(reference: str, document: Any) -> Any:
    """Find the target of a reference in a document; None where there is none."""
    found = document
    for step in reference.removeprefix("#").strip("/").split("/"):
        if not step:
            continue
        try:
            found = found[int(step)] if isinstance(found, list) else found[_unescaped(step)]
        except (LookupError, TypeError, ValueError):
            return None
    return found


@functools.cache
def _reader() -> Draft7Validator:
    """The rules for schemas: those of draft 7, with what Flyte's reader adds."""
    rules = Draft7Validator.META_SCHEMA
    added = {
        "enum": {"type": "array", "items": True, "minItems": 1, "uniqueItems": True},
        "format": {"type": "string", "enum": [*_FORMATS]},
        "contentEncoding": {"enum": ["base64"]},
        "contentMediaType": {"enum": ["application/json"]},
    }
    formats = FormatChecker(formats=())
    formats.checks("regex")(_is_expression)
    return Draft7Validator({**rules, "properties": {**rules["properties"], **added}}, format_checker=formats)


def _is_expression(text: object) -> bool:
    """Whether Go reads a regular expression, which has neither lookaround nor references back."""
    try:
        re.compile(str(text))
    except re.error:
        return False
    return not re.search(r"\(\?(=|!|<=|<!)|\\[1-9]", str(text))


class _Comparison:
    """Compares two schemas, each with the definitions of its own document."""

    def __init__(self, subset: Mapping[str, Any], superset: Mapping[str, Any]) -> None:
        self._documents = subset, superset

    def _resolved(self, schema: Any, document: Mapping[str, Any]) -> dict[str, Any]:
        """A schema, with its reference followed; a schema that is true or false has no rules."""
        if isinstance(schema, bool):
            return _ALWAYS
        if not isinstance(schema, dict):
            raise Malformed(f"A schema must be an object, but got {schema!r}.")
        if "$ref" not in schema:
            return schema
        return self._resolved(_find(schema["$ref"], document), document)

    def differences(self, subset: Any, superset: Any) -> Iterator[str]:
        """Yield the differences that keep the superset from being taken for the subset."""
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
            mine, other = sub["items"], sup.get("items", _ALWAYS)
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
    return unquote(step.replace("~1", "/").replace("~0", "~"))


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
        yield from (f"enum {value}" for value in {*sup.get("enum", ())} - {*sub["enum"], ""})
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
