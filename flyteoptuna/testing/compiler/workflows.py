"""Check that a workflow's nodes are known, bound, reachable and without cycles, and that its outputs are bound.

Source: ``workflow_compiler.go``, ``requirements.go``, ``validators/node.go`` and ``validators/branch.go``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from flyteoptuna.testing.compiler.bindings import check_bindings
from flyteoptuna.testing.compiler.branches import branch_nodes, check_branch_conditions
from flyteoptuna.testing.compiler.node_interfaces import check_interface, resolve_interface
from flyteoptuna.testing.compiler.nodes import (
    END,
    START,
    CompiledNode,
    Interface,
    declared_interface,
    identifier_key,
    iter_branch_targets,
    workflow_nodes,
)
from flyteoptuna.testing.compiler.problems import CompileError, ProblemCollector, proto_text


def compile_workflow(
    template: Any, subworkflows: Iterable[Any] = (), tasks: Iterable[Any] = (), launch_plans: Iterable[Any] = ()
) -> None:
    """Check a workflow and its subworkflows as Flyte's compiler does.

    Args:
        template: the workflow's template.
        subworkflows: the templates of all workflows that are nodes, at any depth.
        tasks: the templates of the tasks.
        launch_plans: the registered launch plans that are nodes.

    Raises:
        CompileError: Flyte would refuse the workflow; lists all errors.
    """
    problems = ProblemCollector()
    tasks = [*tasks]
    for task in tasks:
        if not task.HasField("id"):
            problems.add_missing_value("task", "Template.Id")
    registry = _Registry(
        # Of two tasks with the same ID, Flyte takes the first.
        {identifier_key(task.id): task for task in reversed(tasks)},
        _index_workflows(subworkflows, problems),
        {identifier_key(plan.id): plan for plan in launch_plans},
    )
    if problems.ok:
        _check_references(template, registry, problems)
    if problems.ok:
        _WorkflowCompiler(template, registry, set()).check(problems)
    if not problems.ok:
        raise CompileError(problems.found)


def _index_workflows(workflows: Iterable[Any], problems: ProblemCollector) -> dict[bytes, Any]:
    index: dict[bytes, Any] = {}
    for workflow in workflows:
        if identifier_key(workflow.id) in index:
            problems.add("DuplicateId", proto_text(workflow.id), "Trying to insert two nodes with the same id.")
        index[identifier_key(workflow.id)] = workflow
    return index


@dataclass(frozen=True)
class _Registry:
    """Tasks, workflows and launch plans that nodes may refer to, by identifier."""

    tasks: Mapping[bytes, Any]
    workflows: Mapping[bytes, Any]
    launch_plans: Mapping[bytes, Any]


def _check_references(
    template: Any, registry: _Registry, problems: ProblemCollector, seen: frozenset[bytes] = frozenset()
) -> None:
    """Collect references to unknown tasks, workflows and launch plans, in subworkflows too."""
    for node in [leaf for outer in workflow_nodes(template) for leaf in _leaf_nodes(outer)]:
        if node.task_node.HasField("reference_id"):
            if identifier_key(node.task_node.reference_id) not in registry.tasks:
                about = f"Referenced Task [{proto_text(node.task_node.reference_id)}] not found."
                problems.add("TaskReferenceNotFound", START, about)
            continue
        kind = node.workflow_node.WhichOneof("reference")
        if kind is None:
            continue
        reference = getattr(node.workflow_node, kind)
        key = identifier_key(reference)
        target = (registry.launch_plans if kind == "launchplan_ref" else registry.workflows).get(key)
        if target is None:
            place = START if kind == "launchplan_ref" else node.id
            about = f"Referenced Workflow [{proto_text(reference)}] not found."
            problems.add("WorkflowReferenceNotFound", place, about)
        elif kind == "sub_workflow_ref" and key not in seen:
            _check_references(target, registry, problems, seen | {key})


def _leaf_nodes(node: Any) -> Iterable[Any]:
    """Nodes of all branches of a branch node, the element of an array node, or the node itself."""
    match node.WhichOneof("target"):
        case "branch_node":
            return [leaf for branch in iter_branch_targets(node) for leaf in _leaf_nodes(branch)]
        case "array_node":
            return _leaf_nodes(node.array_node.node)
        case _:
            return [node]


class _WorkflowCompiler:
    """Check of one workflow; implements ``CompiledGraph``."""

    def __init__(
        self, template: Any, registry: _Registry, compiled: set[bytes], enclosing: frozenset[bytes] = frozenset()
    ) -> None:
        self.template, self._registry, self._compiled, self._enclosing = template, registry, compiled, enclosing
        self.tasks, self.workflows, self.launch_plans = registry.tasks, registry.workflows, registry.launch_plans
        self.nodes: dict[str, CompiledNode] = {}
        self._downstream: dict[str, set[str]] = {}
        self._upstream: dict[str, set[str]] = {}
        # Branches and the failure node. No upstream node starts them: the branch node or the failure does.
        self._inner: set[int] = set()

    def add_edge(self, upstream: str, node: CompiledNode, *, downstream: bool = True) -> None:
        """Add an edge; see ``CompiledGraph``."""
        self._upstream.setdefault(node.id, set()).add(upstream or START)
        if downstream and id(node) not in self._inner:
            self._downstream.setdefault(upstream or START, set()).add(node.id)

    def _compile_subworkflow(self, template: Any, problems: ProblemCollector) -> None:
        """Compile a workflow that is a node of this one, once."""
        key = identifier_key(template.id)
        enclosing = self._enclosing | {identifier_key(self.template.id)}
        if key in enclosing:
            about = f"A workflow must not contain itself, but [{proto_text(template.id)}] does."
            problems.add("CycleDetected", START, about)
        elif key not in self._compiled:
            nested = problems.nested()
            _WorkflowCompiler(template, self._registry, self._compiled, enclosing).check(nested)
            if nested.ok:
                self._compiled.add(key)

    def check(self, problems: ProblemCollector) -> None:
        """Collect all errors of the workflow."""
        template = self.template
        if not template.nodes:
            name = proto_text(template.id)
            problems.add("NoNodesFound", name, f"Can't find any nodes in workflow [{name}].")
            return
        interface = declared_interface(template.interface)
        check_interface(START, interface, problems)
        if not problems.ok:
            return
        self._add_start_and_end(interface)
        nodes = [CompiledNode(node) for node in template.nodes]
        for node in nodes:
            # Of two nodes with the same ID, Flyte keeps the first.
            self.nodes.setdefault(node.id, node)
            self._check_node(node, problems.nested())
        for name in sorted(self.nodes):
            if name != START:
                self._check_inputs(self.nodes[name], problems.nested())
        if template.HasField("failure_node"):
            failure = CompiledNode(template.failure_node)
            self._inner.add(id(failure))
            self._check_node(failure, problems.nested())
            self._check_inputs(failure, problems.nested())
        self._check_reachable({node.id for node in nodes} - {START, END}, problems)

    def _add_start_and_end(self, interface: Interface) -> None:
        # Node protobufs, made by the type of the template that holds them.
        ends = type(self.template)(nodes=[{"id": START}, {"id": END, "inputs": self.template.outputs}]).nodes
        start, end = map(CompiledNode, ends)
        start.interface, end.interface = Interface(outputs=interface.inputs), Interface(inputs=interface.outputs)
        self.nodes.update({START: start, END: end})

    def _check_node(self, node: CompiledNode, problems: ProblemCollector) -> None:
        if not node.id:
            problems.add_missing_value("<node>", "Id")
        if node.id in (START, END):
            return
        nested = problems.nested()
        resolve_interface(self, node, nested)
        if nested.ok:
            node.outputs(problems.nested())
        match node.proto.WhichOneof("target"):
            case "branch_node":
                self._check_branch(node, problems)
            case "workflow_node" if node.proto.workflow_node.HasField("sub_workflow_ref"):
                reference = node.proto.workflow_node.sub_workflow_ref
                self._compile_subworkflow(self.workflows[identifier_key(reference)], problems)

    def _check_branch(self, node: CompiledNode, problems: ProblemCollector) -> None:
        branch_problems = problems.nested()
        check_branch_conditions(node, branch_problems)
        valid = []
        for branch in branch_nodes(node):
            nested = branch_problems.nested()
            self._check_node(branch, nested)
            if nested.ok:
                valid.append(branch)
        if branch_problems.ok:
            for branch in valid:
                self._inner.add(id(branch))
                self._check_inputs(branch, problems.nested())

    def _check_inputs(self, node: CompiledNode, problems: ProblemCollector) -> None:
        if node.interface is None:
            return
        if id(node) not in self._inner:
            for upstream in node.proto.upstream_node_ids:
                self.add_edge(upstream, node)
        check_bindings(self, node, node.proto.inputs, node.interface.inputs, problems.nested())

    def _check_reachable(self, names: set[str], problems: ProblemCollector) -> None:
        for name in names:
            # A node without upstream nodes follows the start.
            if name not in self._upstream:
                self._downstream.setdefault(START, set()).add(name)
            # A node without downstream nodes precedes the end.
            if name not in self._downstream:
                self._downstream[name] = {END}
        reached, cycle = _traverse(self._downstream)
        if cycle:
            path = ">".join(cycle)
            problems.add("CycleDetected", START, f"A cycle has been detected while traversing the Workflow [{path}].")
        elif unreached := sorted(self.nodes.keys() - reached - {END}):
            about = f"The Workflow contain unreachable nodes [{','.join(unreached)}]."
            problems.add("UnreachableNodes", START, about)


def _traverse(downstream: Mapping[str, set[str]]) -> tuple[set[str], list[str]]:
    """Return the nodes reachable from the start, and the first cycle; empty if there is none."""
    reached: set[str] = set()
    path: list[str] = [START]
    iterators = [iter(sorted(downstream.get(START, ())))]
    while iterators:
        name = next(iterators[-1], None)
        if name is None:
            reached.add(path.pop())
            iterators.pop()
        elif name in path:
            return reached, [*path, name]
        elif name not in reached:
            path.append(name)
            iterators.append(iter(sorted(downstream.get(name, ()))))
    return reached, []
