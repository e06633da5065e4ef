"""Find the study of a Flyte execution among the inputs and outputs of its workflow and nodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from flyteoptuna.errors import StudyNotFoundError
from flyteoptuna.load.journal_folder import PATIENCE, collect_search, open_journal
from flyteoptuna.load.stored_file import parse_study, read_stored_file
from flyteoptuna.study.settings import SearchSettings
from flyteoptuna.values.retries import limited_patience

if TYPE_CHECKING:
    from flytekit.models.core.identifier import WorkflowExecutionIdentifier
    from flytekit.models.literals import Literal
    from flytekit.remote import FlyteRemote

    from flyteoptuna.journal.backend import JournalObjectBackend
    from flyteoptuna.storage.search_study import SearchStudy

_BOUNDARY_NODES = ("start-node", "end-node")
_FAILED_PHASES = {"FAILED", "ABORTED", "TIMED_OUT"}
_ENDED_PHASES = {"SUCCEEDED", "SKIPPED", "RECOVERED", *_FAILED_PHASES}


class ExecutionSource(NamedTuple):
    """An execution, and the output or node that has the study.

    Attributes:
        project: the project of the execution.
        domain: the domain of the execution.
        name: the name of the execution.
        output: name of the workflow output. None: the only study among the outputs.
        node: id of the node. None: the workflow.
    """

    project: str
    domain: str
    name: str
    output: str | None = None
    node: str | None = None

    def __str__(self) -> str:
        return f"flyte://{self.project}/{self.domain}/{self.name}"

    @property
    def execution(self) -> WorkflowExecutionIdentifier:
        """The identifier of the execution."""
        from flytekit.models.core.identifier import WorkflowExecutionIdentifier

        return WorkflowExecutionIdentifier(self.project, self.domain, self.name)


class JournalSource(NamedTuple):
    """The folder of a journal that the workers of a search share, and the number of trials of the search."""

    url: str
    n_trials: int

    def open(self) -> JournalObjectBackend:
        """Open the journal, as ``open_journal``."""
        return open_journal(self.url, of_search=True)


class StoredStudy(NamedTuple):
    """A study found in an execution: its literal, and the reports or the journal that are not in it yet.

    Attributes:
        study: the study.
        reports: the reports of its last batch, if no driver has told them yet.
        journal: the journal of its trials, if it is the initial study of a search with reused pods.
    """

    study: Literal
    reports: Literal | None = None
    journal: JournalSource | None = None

    def load(self, *, trusted: bool) -> SearchStudy:
        """Load the study, and tell the reports that are not in it yet.

        Args:
            trusted: whether to restore the sampler, the pruner and the callbacks, which unpickles.

        Raises:
            StudyNotFoundError: the file or the journal cannot be read.
            StudyFormatError: the content is not a study.
        """
        from flyteoptuna.flyte.references import make_reference, msgpack_fields
        from flyteoptuna.flyte.report_transport import read_failure_reports, read_map_reports
        from flyteoptuna.study.system_attrs import find_search_mark
        from flyteoptuna.study.tell import tell_trials, without_report

        fields = msgpack_fields(self.study)
        content = fields["_data"] if "_data" in fields else read_stored_file(fields["_path"])
        study = parse_study(content, trusted=trusted)
        if self.journal is not None:
            return collect_search(self.journal.open(), study, self.journal.n_trials, self.journal.url, trusted=trusted)
        if self.reports is not None and find_search_mark(study):
            reports = read_map_reports(make_reference(self.reports))
            with limited_patience(PATIENCE):
                reports += read_failure_reports(make_reference(self.study), without_report(study, reports))
            tell_trials(study, reports)
        return study


class Phase(NamedTuple):
    """The phase of an execution or a node, or ``UNFINISHED``, or empty; with the first line of its error, if any."""

    name: str = ""
    ended: bool = False
    error: str = ""

    @property
    def failed(self) -> bool:
        """Whether an execution has ended without success."""
        return self.name in _FAILED_PHASES


def fetch_phase(remote: FlyteRemote, source: ExecutionSource) -> Phase:
    """The phase of an execution, or of the node in the source.

    Raises:
        StudyNotFoundError: there is no such execution, or no such node.
    """
    from flytekit.exceptions.user import FlyteEntityNotExistException
    from flytekit.models.core.execution import NodeExecutionPhase, WorkflowExecutionPhase
    from flytekit.models.core.identifier import NodeExecutionIdentifier

    try:
        if source.node is None:
            closure = remote.client.get_execution(source.execution).closure
            name = WorkflowExecutionPhase.enum_to_string(closure.phase)
        else:
            closure = remote.client.get_node_execution(NodeExecutionIdentifier(source.node, source.execution)).closure
            name = NodeExecutionPhase.enum_to_string(closure.phase)
    except FlyteEntityNotExistException:
        message = f"There is no execution {source}" if source.node is None else f"{source} has no node {source.node}"
        raise StudyNotFoundError(message) from None
    return Phase(name, name in _ENDED_PHASES, _error_message_line(closure.error.message if closure.error else ""))


def find_study(remote: FlyteRemote, source: ExecutionSource) -> StoredStudy:
    """The study that the workflow of an execution outputs, or else the latest input or output of one of its nodes.

    Raises:
        StudyNotFoundError: there is no study, or the workflow outputs several.
    """
    from flytekit.exceptions.user import FlyteEntityNotExistException
    from flytekit.models.core.execution import WorkflowExecutionPhase
    from flytekit.models.core.identifier import NodeExecutionIdentifier

    client, execution, node = remote.client, source.execution, source.node
    try:
        closure = client.get_execution(execution).closure
    except FlyteEntityNotExistException:
        raise StudyNotFoundError(f"There is no execution {source}") from None
    phase = WorkflowExecutionPhase.enum_to_string(closure.phase)
    reason = _error_message_line(closure.error.message if closure.error else "")
    state = f"The execution is {phase}{f': {reason}' if reason else ''}"
    try:
        if node is not None:
            study = _node_study(remote, client.get_node_execution(NodeExecutionIdentifier(node, execution)))
        else:
            outputs = _fetch_literals(client.get_execution_data(execution), "outputs")
            study = _output_study(outputs, str(source), source.output, state) or _newest_study(remote, execution)
        if study is None:
            raise StudyNotFoundError(f"No study is in {source}{f'#{node}' if node else ''}. {state}")
    except FlyteEntityNotExistException:
        raise _mark_pending(StudyNotFoundError(f"{source} has no node {node}. {state}"), phase) from None
    except StudyNotFoundError as error:
        raise _mark_pending(error, phase) from error.__cause__
    return study


def _mark_pending(error: StudyNotFoundError, phase: str) -> StudyNotFoundError:
    error.pending = phase not in _ENDED_PHASES
    return error


def _error_message_line(message: str) -> str:
    """The first line of an error message, after the traceback if it has one; empty for an empty message."""
    _, _, text = message.rpartition("Message:")
    return (text.strip() or message.strip()).partition("\n")[0].strip()


def _output_study(outputs: Mapping[str, Literal], source: str, name: str | None, state: str) -> StoredStudy | None:
    studies = _study_literals(outputs)
    if name is not None:
        if name not in studies:
            raise StudyNotFoundError(
                f"{source} has no study as output `{name}`; its studies: {', '.join(studies) or 'none'}. {state}"
            )
        return StoredStudy(studies[name])
    if len(studies) > 1:
        raise StudyNotFoundError(f"{source} outputs several studies: add one of {', '.join(f'/{n}' for n in studies)}")
    return next((StoredStudy(study) for study in studies.values()), None)


def _newest_study(
    remote: FlyteRemote, execution: WorkflowExecutionIdentifier, parent: str | None = None
) -> StoredStudy | None:
    from flytekit.clients.helpers import iterate_node_executions

    nodes = list(
        iterate_node_executions(remote.client, workflow_execution_identifier=execution, unique_parent_id=parent)
    )
    nodes.sort(key=lambda n: n.closure.created_at.timestamp() if n.closure.created_at else 0.0)
    return next(filter(None, (_node_study(remote, node) for node in reversed(nodes))), None)


def _node_study(remote: FlyteRemote, node: Any) -> StoredStudy | None:
    """The study among the outputs of a node, else the latest of the nodes in it, else the one among its inputs."""
    if node.id.node_id in _BOUNDARY_NODES or node.metadata.spec_node_id in _BOUNDARY_NODES:
        return None
    data = remote.client.get_node_execution_data(node.id)
    outputs = _fetch_literals(data, "outputs")
    study = _study_with_progress(outputs)
    if study is None and node.closure.workflow_node_metadata is not None:
        study = _newest_study(remote, node.closure.workflow_node_metadata.execution_id)
    elif study is None and node.metadata.is_parent_node and not node.metadata.is_array:
        study = _newest_study(remote, node.id.execution_id, node.id.node_id)
    if study is not None:
        return study
    study = _study_with_progress(_fetch_literals(data, "inputs"))
    if study is not None and study.journal is None and node.metadata.is_array:
        # A map task outputs the reports of the trials that are running in its input study.
        study = study._replace(reports=next((o for o in outputs.values() if o.collection is not None), None))
    return study


def _study_with_progress(literals: Mapping[str, Literal]) -> StoredStudy | None:
    studies = _study_literals(literals)
    if len(studies) != 1:
        return None
    [(name, study)] = studies.items()
    if name != "study":
        return StoredStudy(study)
    reports = literals.get("reports")
    if reports is not None and reports.collection is None:
        reports = None
    return StoredStudy(study, reports, _journal_source(literals))


def _journal_source(literals: Mapping[str, Literal]) -> JournalSource | None:
    """The journal that stands beside a study in the inputs or outputs of a node, if any."""
    url, settings = (_string_value(literals.get(name)) for name in ("journal", "settings"))
    if not url or not settings:
        return None
    try:
        return JournalSource(url, SearchSettings.from_json(settings).n_trials)
    except (TypeError, ValueError):
        # Another workflow may have inputs with these names.
        return None


def _string_value(literal: Literal | None) -> str:
    primitive = literal.scalar.primitive if literal is not None and literal.scalar is not None else None
    value = primitive.value if primitive is not None else None
    return value if isinstance(value, str) else ""


def _fetch_literals(data: Any, kind: str) -> Mapping[str, Literal]:
    """The inputs or outputs of a node or an execution; large ones are in a file."""
    from flyteidl.core import literals_pb2
    from flytekit.models.literals import LiteralMap

    full, blob = getattr(data, f"full_{kind}"), getattr(data, kind)
    if full is not None and full.literals:
        return full.literals  # type: ignore[no-any-return]
    if blob is None or not blob.bytes:
        return {}
    message = literals_pb2.LiteralMap.FromString(read_stored_file(blob.url))
    return LiteralMap.from_flyte_idl(message).literals  # type: ignore[no-any-return]


def _study_literals(literals: Mapping[str, Literal]) -> dict[str, Literal]:
    # Sorted, because protobuf maps have no order.
    return {name: literals[name] for name in sorted(literals) if _is_study(literals[name])}


def _is_study(literal: Literal) -> bool:
    from flyteoptuna.flyte.references import msgpack_fields

    fields = msgpack_fields(literal)
    return "n_trials" in fields and not fields.keys().isdisjoint({"_path", "_data"})
