"""Check that the bindings of a node's inputs, or of a workflow's outputs, have types that cast.

Source: ``validators/bindings.go`` and ``typing/variable.go``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from flyteidl.core import interface_pb2 as interfaces
from flyteidl.core.types_pb2 import LiteralType, SimpleType

from flyteoptuna.flyte.types.casts import NONE, can_cast, infer_scalar_type
from flyteoptuna.testing.compiler.json_schemas import schemas_cast
from flyteoptuna.testing.compiler.nodes import START, CompiledGraph, CompiledNode, Variables
from flyteoptuna.testing.compiler.problems import ProblemCollector, proto_text, type_text

_OUTPUT_NAME = re.compile(r"(?:\[(\d+)\]\.)?(\w+)", re.ASCII)
_UNTYPED = interfaces.Variable(type=NONE)


def can_cast_with_schemas(upstream: LiteralType, downstream: LiteralType) -> bool:
    """Test whether a type casts to another one, including the JSON schemas of dataclasses."""
    return can_cast(upstream, downstream, schemas_cast)


def parse_variable(name: str) -> tuple[str, bool] | None:
    """Split the variable of a promise into the output's name and whether it has an index.

    None if Flyte cannot parse it.
    """
    matches = _OUTPUT_NAME.findall(name)
    if len(matches) != 1:
        return None
    index, output = matches[0]
    return (output, bool(index)) if int(index or 0) < 2**63 else None


def is_optional(literal_type: LiteralType) -> bool:
    """Test whether an input of a type may be omitted: the type is a union with None.

    A variant without a simple type counts as None too, as in Flyte: ``NONE`` is the protobuf's default.
    """
    return any(variant.simple == SimpleType.NONE for variant in literal_type.union_type.variants)


def check_bindings(
    graph: CompiledGraph,
    node: CompiledNode,
    bindings: Iterable[Any],
    expected: Variables,
    problems: ProblemCollector,
    *,
    typed: bool = True,
) -> Variables:
    """Check the bindings of a node.

    Args:
        graph: the workflow.
        node: the node.
        bindings: the bindings.
        expected: the variables to bind.
        problems: collects the errors.
        typed: whether names and types must be the expected ones. False for a branch.

    Returns:
        The bound variables with their types.
    """
    resolved: dict[str, interfaces.Variable] = {}
    bound: set[str] = set()
    for binding in bindings:
        variable = expected.get(binding.var)
        if variable is None and typed:
            problems.add_unknown_variable(node.id, binding.var)
        elif not binding.HasField("binding"):
            problems.add_missing_value(node.id, "Binding")
        elif binding.var in bound:
            problems.add("ParameterBoundMoreThanOnce", node.id, f"Input [{binding.var}] is bound more than once.")
        else:
            bound.add(binding.var)
            check = _BindingChecker(graph, node, binding.var, typed=typed)
            nested = problems.nested()
            bound_type, upstream = check(binding.binding, (variable or _UNTYPED).type, nested)
            if nested.ok:
                for source in upstream:
                    graph.add_edge(source, node, downstream=typed)
                resolved[binding.var] = interfaces.Variable(type=bound_type)
    for name, variable in expected.items():
        if name not in bound and not is_optional(variable.type):
            problems.add_unbound(node.id, name)
    return resolved


# Type of a bound value, and the IDs of the nodes that produce it.
BoundType = tuple[LiteralType | None, list[str]]


class _BindingChecker:
    """Check of one binding."""

    def __init__(self, graph: CompiledGraph, node: CompiledNode, name: str, *, typed: bool) -> None:
        self._graph, self._node, self._name, self._typed = graph, node, name, typed

    def __call__(self, data: Any, expected: LiteralType, problems: ProblemCollector) -> BoundType:
        kind = data.WhichOneof("value")
        if expected.HasField("union_type") and kind not in ("scalar", "promise"):
            return self._check_union(data, expected, problems)
        match kind:
            case "scalar":
                return self._check_scalar(data.scalar, expected, problems)
            case "promise":
                return self._check_promise(data.promise, expected, problems)
            case "collection" if expected.HasField("collection_type"):
                item, nodes = self._check_items(data.collection.bindings, expected.collection_type, problems)
                return LiteralType(collection_type=item), nodes
            case "map" if expected.HasField("map_value_type"):
                item, nodes = self._check_items(data.map.bindings.values(), expected.map_value_type, problems)
                return LiteralType(map_value_type=item), nodes
            case _:
                received = proto_text(getattr(data, kind)) if kind else ""
                self._add(
                    problems,
                    "MismatchingBindings",
                    f"expects bindings of type [{proto_text(expected)}].  Received [{received}]",
                )
                return None, []

    def _add(self, problems: ProblemCollector, code: str, rule: str) -> None:
        problems.add(code, self._node.id, f"Input [{self._name}] on node [{self._node.id}] {rule}")

    def _check_union(self, data: Any, expected: LiteralType, problems: ProblemCollector) -> BoundType:
        matches: list[tuple[LiteralType, BoundType]] = []
        about = f"expects bindings of union type [{proto_text(expected)}].  Received [{proto_text(data)}] which"
        for variant in expected.union_type.variants:
            # Errors of a variant are not those of the union.
            variant_problems = ProblemCollector()
            bound_type = self(data, variant, variant_problems)
            if variant_problems.ok:
                matches.append((variant, bound_type))
        if len(matches) > 1:
            both = f"both variants [{proto_text(matches[0][0])}] and [{proto_text(matches[1][0])}] match"
            self._add(problems, "AmbiguousBindingUnionValue", f"{about} is ambiguous as {both}.")
        elif not matches:
            self._add(problems, "IncompatibleBindingUnionValue", f"{about} does not match any of the variants.")
        return matches[0][1] if len(matches) == 1 else (None, [])

    def _check_items(self, items: Iterable[Any], expected: LiteralType, problems: ProblemCollector) -> BoundType:
        last, nodes = None, list[str]()
        for item in items:
            nested = problems.nested()
            bound_type, upstream = self(item, expected, nested)
            if nested.ok:
                last = bound_type
                nodes += upstream
        return last, nodes

    def _check_scalar(self, scalar: Any, expected: LiteralType, problems: ProblemCollector) -> BoundType:
        actual = infer_scalar_type(scalar)
        if actual is None:
            value = str(scalar.WhichOneof("value") or "<nil>")
            problems.add("UnrecognizedValue", self._node.id, f"Unrecognized value [{value}].")
        elif self._typed and not can_cast_with_schemas(actual, expected):
            problems.add_type_mismatch(self._node.id, self._name, actual, expected)
        if expected.HasField("enum_type") and scalar.primitive.string_value not in expected.enum_type.values:
            value, values = scalar.primitive.string_value, " ".join(expected.enum_type.values)
            self._add(
                problems,
                "IllegalEnumValue",
                f"is an Enum and expects value to be one of [[{values}]].  Received [{value}]",
            )
        return actual, []

    def _check_promise(self, promise: Any, expected: LiteralType, problems: ProblemCollector) -> BoundType:
        source = self._graph.nodes.get(promise.node_id or START)
        if source is None:
            problems.add("NodeReferenceNotFound", promise.node_id, f"Referenced node [{promise.node_id}] not found.")
            problems.add_unbound(self._node.id, self._name)
            return None, []
        parsed = parse_variable(promise.var)
        if parsed is None:
            problems.add("SyntaxError", self._node.id, f"Failed to parse element [{promise.var}].")
            return None, []
        name, indexed = parsed
        variable = source.output(name, problems.nested())
        if variable is None:
            problems.add_unbound(self._node.id, self._name)
            return None, []
        actual = variable.type
        if indexed:
            if actual.HasField("collection_type"):
                actual = actual.collection_type
            else:
                self._add_promise_mismatch(source, promise, actual, expected, problems)
        actual = self._attribute_type(promise, actual, problems)
        if actual is None:
            return None, []
        if self._typed and not can_cast_with_schemas(actual, expected):
            self._add_promise_mismatch(source, promise, actual, expected, problems)
            return None, []
        return variable.type, [source.id]

    def _attribute_type(
        self, promise: Any, literal_type: LiteralType, problems: ProblemCollector
    ) -> LiteralType | None:
        """Type at a promise's attribute path. A step into a type without known fields does not change it."""
        for step in promise.attr_path:
            if literal_type.HasField("collection_type"):
                literal_type = literal_type.collection_type
            elif literal_type.HasField("map_value_type"):
                literal_type = literal_type.map_value_type
            elif literal_type.structure.dataclass_type:
                if step.string_value not in literal_type.structure.dataclass_type:
                    about = f"(type [{proto_text(literal_type)}]) doesn't have field [{step.string_value}]."
                    problems.add("FieldNotFound", self._node.id, f"Variable [{promise.var}] {about}")
                    return None
                literal_type = literal_type.structure.dataclass_type[step.string_value]
        return literal_type

    def _add_promise_mismatch(
        self,
        source: CompiledNode,
        promise: Any,
        actual: LiteralType,
        expected: LiteralType,
        problems: ProblemCollector,
    ) -> None:
        output, input_name = (
            f"{node.proto.metadata.name}.{variable}" if node.proto.HasField("metadata") else variable
            for node, variable in ((source, promise.var), (self._node, self._name))
        )
        problems.add(
            "MismatchingTypes",
            self._node.id,
            f"The output variable '{output}' has type [{type_text(actual)}], but it's assigned to the input variable "
            f"'{input_name}' which has type [{type_text(expected)}].",
        )
