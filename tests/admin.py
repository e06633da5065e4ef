"""Flyte's admin, with what an engine has run."""

from collections import Counter
from datetime import datetime, timezone
from pathlib import Path

import msgpack
from flyteidl.admin import common_pb2, execution_pb2, node_execution_pb2
from flyteidl.core import execution_pb2 as phases
from flyteidl.core import literals_pb2 as pb
from flytekit.configuration import Config
from flytekit.exceptions.user import FlyteEntityNotExistException
from flytekit.models.execution import Execution, NodeExecutionGetDataResponse, WorkflowExecutionGetDataResponse
from flytekit.models.node_execution import NodeExecution
from flytekit.remote import FlyteRemote

from flyteoptuna.storage.file_format import dump_study


class Admin:
    """Flyte's admin, as far as it is asked, with what an engine has run.

    Args:
        outputs: literals that the workflow has output.
        nodes: a node's path, its parent's path, its inputs and its outputs, in the order in which they began.
        phase: phase of the execution.
        error: why it failed.
    """

    def __init__(self, outputs, nodes, phase="SUCCEEDED", error=""):
        self.outputs, self.nodes, self.phase, self.error = outputs, nodes, phase, error
        self.calls = Counter()

    def _known(self, identifier):
        if identifier.name != "ex":
            raise FlyteEntityNotExistException("no execution")

    def get_execution(self, identifier):
        self._known(identifier)
        closure = execution_pb2.ExecutionClosure(phase=getattr(phases.WorkflowExecution, self.phase))
        if self.error:
            closure.error.CopyFrom(phases.ExecutionError(code="USER", message=self.error))
        closure.created_at.GetCurrentTime()
        return Execution.from_flyte_idl(execution_pb2.Execution(id=identifier.to_flyte_idl(), closure=closure))

    def get_execution_data(self, identifier):
        message = execution_pb2.WorkflowExecutionGetDataResponse(full_outputs=pb.LiteralMap(literals=self.outputs))
        return WorkflowExecutionGetDataResponse.from_flyte_idl(message)

    def _node(self, execution, position):
        path, _, _, _ = self.nodes[position]
        children = any(parent == path for _, parent, _, _ in self.nodes)
        is_map = "trials-of" in path or "workers-of" in path
        metadata = node_execution_pb2.NodeExecutionMetaData(
            is_parent_node=children, spec_node_id=path.rpartition("-")[2], is_array=is_map
        )
        node = node_execution_pb2.NodeExecution(metadata=metadata)
        node.id.node_id = path
        node.id.execution_id.CopyFrom(execution.to_flyte_idl())
        node.closure.created_at.FromDatetime(datetime.fromtimestamp(position, timezone.utc).replace(tzinfo=None))
        return NodeExecution.from_flyte_idl(node)

    def list_node_executions(
        self, workflow_execution_identifier, limit, token, filters=None, sort_by=None, unique_parent_id=None
    ):
        self.calls["list"] += 1
        found = [i for i, node in enumerate(self.nodes) if node[1] == (unique_parent_id or "")]
        return [self._node(workflow_execution_identifier, i) for i in found], ""

    def get_node_execution(self, identifier):
        for i, (path, _, _, _) in enumerate(self.nodes):
            if path == identifier.node_id:
                return self._node(identifier.execution_id, i)
        raise FlyteEntityNotExistException("no node")

    def get_node_execution_data(self, identifier):
        self.calls["data"] += 1
        [(inputs, outputs)] = [node[2:] for node in self.nodes if node[0] == identifier.node_id]
        message = node_execution_pb2.NodeExecutionGetDataResponse(full_outputs=pb.LiteralMap(literals=outputs))
        if isinstance(inputs, Path):
            message.inputs.CopyFrom(common_pb2.UrlBlob(url=str(inputs), bytes=inputs.stat().st_size))
        else:
            message.full_inputs.CopyFrom(pb.LiteralMap(literals=inputs))
        return NodeExecutionGetDataResponse.from_flyte_idl(message)


def remote_of(admin):
    """A real remote, whose client is replaced before it connects."""
    remote = FlyteRemote(Config.for_endpoint("nowhere.invalid"))
    remote._client, remote._client_initialized = admin, True
    return remote


def state_at(execution, ended, gone=()):
    """The nodes of an execution as they were when only those in `ended` had ended, and those in `gone` not begun."""
    return [
        (path, parent, inputs, outputs if path in ended else {})
        for path, parent, inputs, outputs in execution[1]
        if not any(path.startswith(name) for name in gone)
    ]


def literal_of(study, **fields):
    """A study as an output literal: inline, as a workflow binds one at registration."""
    packed = msgpack.dumps({"n_trials": len(study.trials), **(fields or {"_data": dump_study(study)})})
    return pb.Literal(scalar=pb.Scalar(binary=pb.Binary(value=packed, tag="msgpack")))
