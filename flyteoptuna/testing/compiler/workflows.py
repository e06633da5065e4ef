"""Workflows: their nodes are known, bound and reachable, without a cycle, and their outputs are bound.

Source: ``workflow_compiler.go``, ``requirements.go``, ``validators/node.go`` and ``validators/branch.go``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from flyteoptuna.testing.compiler.bindings import check_bindings
from flyteoptuna.testing.compiler.branches import branch_nodes, check_conditions
from flyteoptuna.testing.compiler.nodes import (
    END,
    START,
    CompiledNode,
    Interface,
    interface_of,
    key,
    nodes_of,
    nodes_of_workflow,
)
from flyteoptuna.testing.compiler.problems import CompileError, Scope, text
from flyteoptuna.testing.compiler.underlying import check_interface, find_interface


def compile_workflow(
    template: Any, subworkflows: Iterable[Any] = (), tasks: Iterable[Any] = (), launch_plans: Iterable[Any] = ()
) -> None:
    """Check a workflow, and those that are its nodes, as Flyte's compiler does.

    Args:
        template: the workflow's template.
        subworkflows: the templates of all workflows that are nodes, at any depth.
        tasks: the templates of the tasks.
        launch_plans: the launch plans that are nodes, as admin has them.

    Raises:
        CompileError: Flyte would refuse it; says all that it would.
    """
    scope = Scope()
    given = [*tasks]
    for each in given:
        if not each.HasField("id"):
            scope.required("task", "Template.Id")
    known = _Known(
        # Of two tasks of one id, Flyte takes the first.
        {key(each.id): each for each in reversed(given)},
        _indexed(subworkflows, scope),
        {key(each.id): each for each in launch_plans},
    )
    if scope.ok:
        _check_references(template, known, scope)
    if scope.ok:
        _Workflow(template, known, set()).check(scope)
    if not scope.ok:
        raise CompileError(scope.problems)


def _indexed(workflows: Iterable[Any], scope: Scope) -> dict[bytes, Any]:
    found: dict[bytes, Any] = {}
    for each in workflows:
        if key(each.id) in found:
            scope.add("DuplicateId", text(each.id), "Trying to insert two nodes with the same id.")
        found[key(each.id)] = each
    return found


class _Known:
    """Tasks, workflows and launch plans that nodes may refer to."""

    def __init__(
        self, tasks: Mapping[bytes, Any], workflows: Mapping[bytes, Any], launch_plans: Mapping[bytes, Any]
    ) -> None:
        self.tasks, self.workflows, self.launch_plans = tasks, workflows, launch_plans


def _check_references(template: Any, known: _Known, scope: Scope, seen: frozenset[bytes] = frozenset()) -> None:
    """Collect the tasks, workflows and launch plans that there are none of, in subworkflows too."""
    for node in [inner for each in nodes_of_workflow(template) for inner in _referring(each)]:
        if node.task_node.HasField("reference_id"):
            if key(node.task_node.reference_id) not in known.tasks:
                about = f"Referenced Task [{text(node.task_node.reference_id)}] not found."
                scope.add("TaskReferenceNotFound", START, about)
            continue
        kind = node.workflow_node.WhichOneof("reference")
        if kind is None:
            continue
        reference = getattr(node.workflow_node, kind)
        found = (known.launch_plans if kind == "launchplan_ref" else known.workflows).get(key(reference))
        if found is None:
            where = START if kind == "launchplan_ref" else node.id
            scope.add("WorkflowReferenceNotFound", where, f"Referenced Workflow [{text(reference)}] not found.")
        elif kind == "sub_workflow_ref" and key(reference) not in seen:
            _check_references(found, known, scope, seen | {key(reference)})


def _referring(node: Any) -> Iterable[Any]:
    """The nodes that refer to something: a node itself, those of a branch, that of a map."""
    match node.WhichOneof("target"):
        case "branch_node":
            return [found for each in nodes_of(node) for found in _referring(each)]
        case "array_node":
            return _referring(node.array_node.node)
        case _:
            return [node]


class _Workflow:
    """One workflow under compilation; see :class:`flyteoptuna.testing.compiler.nodes.Graph`."""

    def __init__(
        self, template: Any, known: _Known, compiled: set[bytes], outer: frozenset[bytes] = frozenset()
    ) -> None:
        self.template, self._known, self._compiled, self._outer = template, known, compiled, outer
        self.tasks, self.workflows, self.launch_plans = known.tasks, known.workflows, known.launch_plans
        self.nodes: dict[str, CompiledNode] = {}
        self._downstream: dict[str, set[str]] = {}
        self._upstream: dict[str, set[str]] = {}
        # A branch's own node is started by the branch, whatever it needs.
        self._inner: set[int] = set()

    def feed(self, upstream: str, node: CompiledNode, *, downstream: bool = True) -> None:
        """Note that a node needs another one's outputs, and whether it is started by that one."""
        self._upstream.setdefault(node.id, set()).add(upstream or START)
        if downstream and id(node) not in self._inner:
            self._downstream.setdefault(upstream or START, set()).add(node.id)

    def _compile_subworkflow(self, template: Any, scope: Scope) -> None:
        """Compile a workflow that is a node of this one, once."""
        if key(template.id) == key(self.template.id) or key(template.id) in self._outer:
            about = f"A workflow must not contain itself, but [{text(template.id)}] does."
            scope.add("CycleDetected", START, about)
        elif key(template.id) not in self._compiled:
            inner = scope.inner()
            outer = self._outer | {key(self.template.id)}
            _Workflow(template, self._known, self._compiled, outer).check(inner)
            if inner.ok:
                self._compiled.add(key(template.id))

    def check(self, scope: Scope) -> None:
        """Collect all errors of the workflow."""
        template = self.template
        if not template.nodes:
            name = text(template.id)
            scope.add("NoNodesFound", name, f"Can't find any nodes in workflow [{name}].")
            return
        interface = interface_of(template.interface)
        check_interface(START, interface, scope)
        if not scope.ok:
            return
        self._add_ends(interface)
        top = [CompiledNode(node) for node in template.nodes]
        for node in top:
            # Of two nodes of one id, Flyte keeps the first.
            self.nodes.setdefault(node.id, node)
            self._check_node(node, scope.inner())
        for name in sorted(self.nodes):
            if name != START:
                self._check_inputs(self.nodes[name], scope.inner())
        if template.HasField("failure_node"):
            failure = CompiledNode(template.failure_node)
            self._inner.add(id(failure))
            self._check_node(failure, scope.inner())
            self._check_inputs(failure, scope.inner())
        self._check_reachable({node.id for node in top} - {START, END}, scope)

    def _add_ends(self, interface: Interface) -> None:
        template = type(self.template)
        ends = template(nodes=[{"id": START}, {"id": END, "inputs": self.template.outputs}]).nodes
        start, end = map(CompiledNode, ends)
        start.interface, end.interface = Interface(outputs=interface.inputs), Interface(inputs=interface.outputs)
        self.nodes.update({START: start, END: end})

    def _check_node(self, node: CompiledNode, scope: Scope) -> None:
        if not node.id:
            scope.required("<node>", "Id")
        if node.id in (START, END):
            return
        inner = scope.inner()
        find_interface(self, node, inner)
        if inner.ok:
            node.outputs(scope.inner())
        match node.proto.WhichOneof("target"):
            case "branch_node":
                self._check_branch(node, scope)
            case "workflow_node" if node.proto.workflow_node.HasField("sub_workflow_ref"):
                reference = node.proto.workflow_node.sub_workflow_ref
                self._compile_subworkflow(self.workflows[key(reference)], scope)

    def _check_branch(self, node: CompiledNode, scope: Scope) -> None:
        inner = scope.inner()
        check_conditions(node, inner)
        branches = branch_nodes(node)
        right = []
        for each in branches:
            step = inner.inner()
            self._check_node(each, step)
            if step.ok:
                right.append(each)
        if inner.ok:
            for each in right:
                self._inner.add(id(each))
                self._check_inputs(each, scope.inner())

    def _check_inputs(self, node: CompiledNode, scope: Scope) -> None:
        if node.interface is None:
            return
        if id(node) not in self._inner:
            for upstream in node.proto.upstream_node_ids:
                self.feed(upstream, node)
        check_bindings(self, node, node.proto.inputs, node.interface.inputs, scope.inner())

    def _check_reachable(self, top: set[str], scope: Scope) -> None:
        for name in top:
            # What needs nothing begins with the workflow.
            if name not in self._upstream:
                self._downstream.setdefault(START, set()).add(name)
            # What nothing needs ends with it.
            if name not in self._downstream:
                self._downstream[name] = {END}
        reached, cycle = _walk(self._downstream)
        if cycle:
            path = ">".join(cycle)
            scope.add("CycleDetected", START, f"A cycle has been detected while traversing the Workflow [{path}].")
        elif unreached := sorted(self.nodes.keys() - reached - {END}):
            about = f"The Workflow contain unreachable nodes [{','.join(unreached)}]."
            scope.add("UnreachableNodes", START, about)


def _walk(downstream: Mapping[str, set[str]]) -> tuple[set[str], list[str]]:
    """The nodes that are reached from the start, and the first cycle among them."""
    reached: set[str] = set()
    path: list[str] = [START]
    waiting = [iter(sorted(downstream.get(START, ())))]
    while waiting:
        name = next(waiting[-1], None)
        if name is None:
            reached.add(path.pop())
            waiting.pop()
        elif name in path:
            return reached, [*path, name]
        elif name not in reached:
            path.append(name)
            waiting.append(iter(sorted(downstream.get(name, ()))))
    return reached, []
