"""Compare the JSON schemas of two dataclasses or models as Flyte's compiler does.

Source: ``isSuperTypeInJSON`` in ``flytepropeller/pkg/compiler/validators/typing.go`` at v1.16.8. It parses
schemas with ``santhosh-tekuri/jsonschema`` 1.2.4 as draft 7, and compares them with ``json-schema-compare``.
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

# Marker of a difference that the comparison does not support. Flyte ignores it, except in variants of an `anyOf`.
_NOT_COMPARED = "not implemented"
# Equivalent of a schema that is `true` or `false`.
_BOOLEAN_SCHEMA: dict[str, Any] = {"minProperties": 0, "maxProperties": 0}
# Formats that Flyte's parser knows. A schema with another one, such as that of a path or a timedelta, is malformed.
_KNOWN_FORMATS = (
    *("date-time", "date", "time", "hostname", "email", "ip-address", "ipv4", "ipv6", "uri", "iri", "uri-reference"),
    *("uriref", "iri-reference", "uri-template", "regex", "json-pointer", "relative-json-pointer"),
)
_DRAFTS = tuple(f"http://json-schema.org/{name}schema#" for name in ("", "draft-07/", "draft-06/", "draft-04/"))


class MalformedSchemaError(ValueError):
    """Flyte's compiler cannot parse or compare the schema."""


def schemas_cast(upstream: Struct, downstream: Struct) -> bool:
    """Test whether Flyte's compiler casts a type with one JSON schema to a type with another one."""
    if upstream == downstream:
        return True
    source, target = (_parse_schema(schema.SerializeToString(deterministic=True)) for schema in (upstream, downstream))
    if source is None or target is None:
        return False
    try:
        differences = _SchemaComparison(target, source).differences(target, source)
        return all(_NOT_COMPARED in difference for difference in differences)
    except (MalformedSchemaError, RecursionError):
        return False


@functools.lru_cache(1024)
def _parse_schema(serialised: bytes) -> dict[str, Any] | None:
    """Parse a schema; None if it is empty or malformed."""
    schema = MessageToDict(Struct.FromString(serialised))
    known = schema.get("$schema", _DRAFTS[0]) in _DRAFTS
    valid = schema and known and _meta_validator().is_valid(schema) and _references_exist(schema, schema)
    return schema if valid else None


def _references_exist(schema: Any, document: Mapping[str, Any]) -> bool:
    """Test whether each reference has a target. Definitions are skipped: Flyte parses them on reference only."""
    if isinstance(schema, list):
        return all(_references_exist(item, document) for item in schema)
    if not isinstance(schema, dict):
        return True
    if isinstance(schema.get("$ref"), str):
        return _reference_target(schema["$ref"], document) is not None
    skipped = ("definitions", "$defs", "default", "examples", "const", "enum")
    return all(_references_exist(item, document) for name, item in schema.items() if name not in skipped)


def _reference_target(reference: str, document: Any) -> Any:
    """Return the target of a reference in a document; None if there is none."""
    target = document
    for step in reference.removeprefix("#").strip("/").split("/"):
        if not step:
            continue
        try:
            target = target[int(step)] if isinstance(target, list) else target[_unescape_step(step)]
        except (LookupError, TypeError, ValueError):
            return None
    return target


@functools.cache
def _meta_validator() -> Draft7Validator:
    """Meta-schema of draft 7 with the additions of Flyte's parser."""
    rules = Draft7Validator.META_SCHEMA
    additions = {
        "enum": {"type": "array", "items": True, "minItems": 1, "uniqueItems": True},
        "format": {"type": "string", "enum": [*_KNOWN_FORMATS]},
        "contentEncoding": {"enum": ["base64"]},
        "contentMediaType": {"enum": ["application/json"]},
    }
    formats = FormatChecker(formats=())
    formats.checks("regex")(_is_go_regex)
    return Draft7Validator({**rules, "properties": {**rules["properties"], **additions}}, format_checker=formats)


def _is_go_regex(text: object) -> bool:
    """Test whether Go parses a regular expression. Go has no lookaround and no backreferences."""
    try:
        re.compile(str(text))
    except re.error:
        return False
    return not re.search(r"\(\?(=|!|<=|<!)|\\[1-9]", str(text))


class _SchemaComparison:
    """Comparison of two schemas, each with the definitions of its own document."""

    def __init__(self, subset: Mapping[str, Any], superset: Mapping[str, Any]) -> None:
        self._documents = subset, superset

    def _dereference(self, schema: Any, document: Mapping[str, Any]) -> dict[str, Any]:
        """Follow a schema's reference. A boolean schema has no rules."""
        if isinstance(schema, bool):
            return _BOOLEAN_SCHEMA
        if not isinstance(schema, dict):
            raise MalformedSchemaError(f"A schema must be an object, but got {schema!r}.")
        if "$ref" not in schema:
            return schema
        return self._dereference(_reference_target(schema["$ref"], document), document)

    def differences(self, subset: Any, superset: Any) -> Iterator[str]:
        """Yield the differences that prevent a cast of the superset to the subset."""
        sub, sup = (
            self._dereference(schema, doc) for schema, doc in zip((subset, superset), self._documents, strict=True)
        )
        types, sup_types = _schema_types(sub), _schema_types(sup)
        if types - sup_types or {name for name in sup_types - types if types or name != "object"}:
            yield f"types {types} and {sup_types}"
        if "string" in types:
            yield from _string_differences(sub, sup)
        if "number" in types:
            yield from _number_differences(sub, sup)
        if "array" in types:
            yield from self._array_differences(sub, sup)
        if "object" in types or not types:
            yield from self._object_differences(sub, sup)
        for name in ("allOf", "anyOf", "oneOf"):
            yield from self._variant_differences(name, sub.get(name) or [], sup.get(name) or [])
        if "const" in sub and ("const" not in sup or sub["const"] != sup["const"]):
            yield "const"

    def _variant_differences(self, name: str, sub: list[Any], sup: list[Any]) -> Iterator[str]:
        if bool(sub) != bool(sup) or not all(any(not self._nested_differences(a, b) for a in sub) for b in sup):
            yield name

    def _nested_differences(self, subset: Any, superset: Any) -> list[str]:
        booleans = [schema if isinstance(schema, bool) else None for schema in (subset, superset)]
        if booleans[0] != booleans[1]:
            return ["always"]
        return [*self.differences(subset, superset)]

    def _array_differences(self, sub: dict[str, Any], sup: dict[str, Any]) -> Iterator[str]:
        yield from _limit_differences(sub, sup, "minItems", "maxItems")
        if "items" in sub:
            sub_items, sup_items = sub["items"], sup.get("items", _BOOLEAN_SCHEMA)
            if "items" not in sup or isinstance(sub_items, list) != isinstance(sup_items, list):
                yield "items"
            elif not isinstance(sub_items, list):
                yield from self.differences(sub_items, sup_items)
            elif len(sub_items) != len(sup_items):
                yield "items"
            else:
                for pair in zip(sub_items, sup_items, strict=True):
                    yield from self.differences(*pair)
        if any(isinstance(schema.get("items"), list) for schema in (sub, sup)):
            yield _NOT_COMPARED
        if sub.get("uniqueItems") and not sup.get("uniqueItems"):
            yield "uniqueItems"

    def _object_differences(self, sub: dict[str, Any], sup: dict[str, Any]) -> Iterator[str]:
        if any(schema.get("additionalProperties", True) is not True for schema in (sub, sup)):
            yield _NOT_COMPARED
        if {*sub.get("required", ())} - {*sup.get("required", ())}:
            yield "required"
        yield from _limit_differences(sub, sup, "minProperties", "maxProperties")
        if any(schema.get(name) for schema in (sub, sup) for name in ("dependencies", "patternProperties")):
            yield _NOT_COMPARED
        if "not" in sub or "not" in sup:
            yield _NOT_COMPARED
        yield from self._condition_differences(sub, sup)
        for name, schema in sub.get("properties", {}).items():
            if name not in sup.get("properties", {}):
                yield f"properties.{name}"
            else:
                yield from self.differences(schema, sup["properties"][name])

    def _condition_differences(self, sub: dict[str, Any], sup: dict[str, Any]) -> Iterator[str]:
        # An "if" without "then" or "else" is no condition.
        conditional = [schema.get("if") is not None and bool(schema.keys() & {"then", "else"}) for schema in (sub, sup)]
        for name in ("if", "then", "else"):
            in_sub, in_sup = (name in schema and has for schema, has in zip((sub, sup), conditional, strict=True))
            if in_sub != in_sup:
                yield name
            elif in_sub and (differences := self._nested_differences(sub[name], sup[name])):
                yield name
                yield from differences


def _unescape_step(step: str) -> str:
    return unquote(step.replace("~1", "/").replace("~0", "~"))


def _schema_types(schema: Mapping[str, Any]) -> set[str]:
    types = schema.get("type", [])
    return {types} if isinstance(types, str) else {*types}


def _limit_differences(sub: Mapping[str, Any], sup: Mapping[str, Any], lower: str, upper: str) -> Iterator[str]:
    if lower in sub and (lower not in sup or sup[lower] < sub[lower]):
        yield lower
    if upper in sub and (upper not in sup or sup[upper] > sub[upper]):
        yield upper


def _string_differences(sub: Mapping[str, Any], sup: Mapping[str, Any]) -> Iterator[str]:
    if sub.get("format", "") != sup.get("format", ""):
        yield "format"
    if "enum" in sub:
        if not all(isinstance(value, str) for value in (*sub["enum"], *sup.get("enum", ()))):
            raise MalformedSchemaError("Each value of an enum of strings must be one.")
        # The comparison counts the empty string as a value of every enum.
        yield from (f"enum {value}" for value in {*sup.get("enum", ())} - {*sub["enum"], ""})
    if "pattern" in sub:
        if "pattern" not in sup:
            raise MalformedSchemaError("The comparison ends where one schema alone has a pattern.")
        if sub["pattern"] != sup["pattern"]:
            yield "pattern"
    yield from _limit_differences(sub, sup, "minLength", "maxLength")


def _number_differences(sub: Mapping[str, Any], sup: Mapping[str, Any]) -> Iterator[str]:
    yield from _limit_differences(sub, sup, "minimum", "maximum")
    if any(name in schema for schema in (sub, sup) for name in ("exclusiveMinimum", "exclusiveMaximum")):
        yield _NOT_COMPARED
    steps = [schema["multipleOf"] for schema in (sub, sup) if "multipleOf" in schema]
    if len(steps) == 1:
        raise MalformedSchemaError("The comparison ends where one schema alone has a step.")
    if steps:
        if not all(float(step).is_integer() for step in steps):
            yield _NOT_COMPARED
        if int(steps[0]) == 0:
            raise MalformedSchemaError("The comparison divides by a step below 1.")
        if int(steps[1]) % int(steps[0]):
            yield "multipleOf"
