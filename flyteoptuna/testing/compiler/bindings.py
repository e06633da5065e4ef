"""Bindings: what is given to a node's inputs, or to a workflow's outputs, has a type that casts.

Source: ``validators/bindings.go`` and ``typing/variable.go``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from flyteidl.core import interface_pb2 as interfaces
from flyteidl.core.types_pb2 import LiteralType, SimpleType

from flyteoptuna.flyte.types.casts import NONE, castable, type_of_scalar
from flyteoptuna.testing.compiler.json_schemas import schemas_cast
from flyteoptuna.testing.compiler.nodes import START, CompiledNode, Graph, Variables
from flyteoptuna.testing.compiler.problems import Scope, text, type_text

_VARIABLE = re.compile(r"(?:\[(\d+)\]\.)?(\w+)", re.ASCII)
_ANYTHING = interfaces.Variable(type=NONE)


def casts(upstream: LiteralType, downstream: LiteralType) -> bool:
    """Whether a type casts to another, with the JSON schemas of dataclasses compared."""
    return castable(upstream, downstream, schemas_cast)


def parse_variable(name: str) -> tuple[str, bool] | None:
    """Return an output's name, and whether an element of it is meant; None for a name that Flyte cannot read."""
    found = _VARIABLE.findall(name)
    if len(found) != 1 or int(found[0][0] or 0) >= 2**63:
        return None
    return found[0][1], bool(found[0][0])


def is_optional(kind: LiteralType) -> bool:
    """Whether an input may be left out: its type is a union with None.

    Of a variant that is no simple type, Flyte reads the simple type as None.
    """
    return any(variant.simple == SimpleType.NONE for variant in kind.union_type.variants)


def check_bindings(
    graph: Graph, node: CompiledNode, bindings: Iterable[Any], wanted: Variables, scope: Scope, *, typed: bool = True
) -> Variables:
    """Check what is bound to a node.

    Args:
        graph: the workflow.
        node: the node.
        bindings: what is bound.
        wanted: the variables to bind.
        scope: takes the errors.
        typed: whether names and types have to be those that are wanted; not so of a branch.

    Returns:
        The types that were bound.
    """
    resolved: dict[str, interfaces.Variable] = {}
    bound: set[str] = set()
    for binding in bindings:
        variable = wanted.get(binding.var)
        if variable is None and typed:
            scope.unknown(node.id, binding.var)
        elif not binding.HasField("binding"):
            scope.required(node.id, "Binding")
        elif binding.var in bound:
            scope.add("ParameterBoundMoreThanOnce", node.id, f"Input [{binding.var}] is bound more than once.")
        else:
            bound.add(binding.var)
            check = _Binding(graph, node, binding.var, typed=typed)
            inner = scope.inner()
            kind, upstream = check(binding.binding, (variable or _ANYTHING).type, inner)
            if inner.ok:
                for source in upstream:
                    graph.feed(source, node, downstream=typed)
                resolved[binding.var] = interfaces.Variable(type=kind)
    for name, variable in wanted.items():
        if name not in bound and not is_optional(variable.type):
            scope.unbound(node.id, name)
    return resolved


Resolved = tuple[LiteralType | None, list[str]]
"""The type of what is bound, and the ids of the nodes that it comes from."""


class _Binding:
    """The check of one binding; see :func:`check_bindings`."""

    def __init__(self, graph: Graph, node: CompiledNode, name: str, *, typed: bool) -> None:
        self._graph, self._node, self._name, self._typed = graph, node, name, typed

    def __call__(self, given: Any, wanted: LiteralType, scope: Scope) -> Resolved:
        kind = given.WhichOneof("value")
        if wanted.HasField("union_type") and kind not in ("scalar", "promise"):
            return self._to_union(given, wanted, scope)
        match kind:
            case "scalar":
                return self._scalar(given.scalar, wanted, scope)
            case "promise":
                return self._promise(given.promise, wanted, scope)
            case "collection" if wanted.HasField("collection_type"):
                inner, nodes = self._items(given.collection.bindings, wanted.collection_type, scope)
                return LiteralType(collection_type=inner), nodes
            case "map" if wanted.HasField("map_value_type"):
                inner, nodes = self._items(given.map.bindings.values(), wanted.map_value_type, scope)
                return LiteralType(map_value_type=inner), nodes
            case _:
                received = text(getattr(given, kind)) if kind else ""
                self._add(
                    scope,
                    "MismatchingBindings",
                    f"expects bindings of type [{text(wanted)}].  Received [{received}]",
                )
                return None, []

    def _add(self, scope: Scope, code: str, rule: str) -> None:
        scope.add(code, self._node.id, f"Input [{self._name}] on node [{self._node.id}] {rule}")

    def _to_union(self, given: Any, wanted: LiteralType, scope: Scope) -> Resolved:
        found: list[tuple[LiteralType, Resolved]] = []
        about = f"expects bindings of union type [{text(wanted)}].  Received [{text(given)}] which"
        for variant in wanted.union_type.variants:
            inner = Scope()
            resolved = self(given, variant, inner)
            if inner.ok:
                found.append((variant, resolved))
        if len(found) > 1:
            both = f"both variants [{text(found[0][0])}] and [{text(found[1][0])}] match"
            self._add(scope, "AmbiguousBindingUnionValue", f"{about} is ambiguous as {both}.")
        elif not found:
            self._add(scope, "IncompatibleBindingUnionValue", f"{about} does not match any of the variants.")
        return found[0][1] if len(found) == 1 else (None, [])

    def _items(self, given: Iterable[Any], wanted: LiteralType, scope: Scope) -> Resolved:
        last, nodes = None, list[str]()
        for item in given:
            inner = scope.inner()
            resolved, upstream = self(item, wanted, inner)
            if inner.ok:
                last = resolved
                nodes += upstream
        return last, nodes

    def _scalar(self, given: Any, wanted: LiteralType, scope: Scope) -> Resolved:
        found = type_of_scalar(given)
        if found is None:
            value = str(given.WhichOneof("value") or "<nil>")
            scope.add("UnrecognizedValue", self._node.id, f"Unrecognized value [{value}].")
        elif self._typed and not casts(found, wanted):
            scope.mismatching(self._node.id, self._name, found, wanted)
        if wanted.HasField("enum_type") and given.primitive.string_value not in wanted.enum_type.values:
            value, values = given.primitive.string_value, " ".join(wanted.enum_type.values)
            self._add(
                scope,
                "IllegalEnumValue",
                f"is an Enum and expects value to be one of [[{values}]].  Received [{value}]",
            )
        return found, []

    def _promise(self, given: Any, wanted: LiteralType, scope: Scope) -> Resolved:
        source = self._graph.nodes.get(given.node_id or START)
        if source is None:
            scope.add("NodeReferenceNotFound", given.node_id, f"Referenced node [{given.node_id}] not found.")
            scope.unbound(self._node.id, self._name)
            return None, []
        parsed = parse_variable(given.var)
        if parsed is None:
            scope.add("SyntaxError", self._node.id, f"Failed to parse element [{given.var}].")
            return None, []
        name, indexed = parsed
        variable = source.output(name, scope.inner())
        if variable is None:
            scope.unbound(self._node.id, self._name)
            return None, []
        found = variable.type
        if indexed:
            if found.HasField("collection_type"):
                found = found.collection_type
            else:
                self._mismatching(source, given, found, wanted, scope)
        found = self._field(given, found, scope)
        if found is None:
            return None, []
        if self._typed and not casts(found, wanted):
            self._mismatching(source, given, found, wanted, scope)
            return None, []
        return variable.type, [source.id]

    def _field(self, given: Any, found: LiteralType, scope: Scope) -> LiteralType | None:
        """The type at a promise's attribute path. What Flyte knows no fields of is taken for its own field."""
        for step in given.attr_path:
            if found.HasField("collection_type"):
                found = found.collection_type
            elif found.HasField("map_value_type"):
                found = found.map_value_type
            elif found.structure.dataclass_type:
                if step.string_value not in found.structure.dataclass_type:
                    about = f"(type [{text(found)}]) doesn't have field [{step.string_value}]."
                    scope.add("FieldNotFound", self._node.id, f"Variable [{given.var}] {about}")
                    return None
                found = found.structure.dataclass_type[step.string_value]
        return found

    def _mismatching(
        self, source: CompiledNode, given: Any, found: LiteralType, wanted: LiteralType, scope: Scope
    ) -> None:
        output, name = (
            f"{each.proto.metadata.name}.{variable}" if each.proto.HasField("metadata") else variable
            for each, variable in ((source, given.var), (self._node, self._name))
        )
        scope.add(
            "MismatchingTypes",
            self._node.id,
            f"The output variable '{output}' has type [{type_text(found)}], but it's assigned to the input variable "
            f"'{name}' which has type [{type_text(wanted)}].",
        )
