"""The study of an execution of a Flyte cluster, found among what its workflow and its nodes have got and made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import optuna

from flyteoptuna.core import plan
from flyteoptuna.show.stored_file import StudyNotFoundError, contents, reason
from flyteoptuna.storage.read_results import StudyFormatError

if TYPE_CHECKING:
    from flytekit.models.core.identifier import WorkflowExecutionIdentifier
    from flytekit.models.literals import Literal
    from flytekit.remote import FlyteRemote

    from flyteoptuna.journal.backend import JournalObjectBackend

_ENDS = ("start-node", "end-node")
_ENDED = {"SUCCEEDED", "FAILED", "ABORTED", "TIMED_OUT", "SKIPPED", "RECOVERED"}


class Place(NamedTuple):
    """An execution, and where in it to look for a study.

    Attributes:
        project: its project.
        domain: its domain.
        name: its name.
        output: the output of the workflow that is the study; None for the only one.
        node: the id of the node whose study is meant; None for the workflow's.
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


class Journal(NamedTuple):
    """The journal that the workers of a search share: its folder, and the trials of the search."""

    url: str
    n_trials: int

    def open(self) -> JournalObjectBackend:
        """The journal, read-only, with the credentials that Flyte has for its folder.

        Raises:
            StudyNotFoundError: it is not there, or it cannot be read.
        """
        from flytekit.core.context_manager import FlyteContextManager

        from flyteoptuna.journal.backend import JournalObjectBackend

        try:
            files = FlyteContextManager.current_context().file_access.get_filesystem_for_path(self.url)
            backend = JournalObjectBackend(self.url, fs=files, read_only=True)
            backend.check()
        except Exception as error:
            # Each file system has exceptions of its own.
            raise StudyNotFoundError(f"The journal {self.url} cannot be read: {reason(error)}") from error
        return backend


class Found(NamedTuple):
    """What is known of a study.

    Attributes:
        study: its literal.
        reports: that of the reports of its last batch, where they have not been told yet.
        journal: where its trials are, if it is the study that a search with reused pods began from.
    """

    study: Literal
    reports: Literal | None = None
    journal: Journal | None = None

    def load(self, read: Callable[[bytes], Any]) -> optuna.Study:
        """The study as it stands; ``read`` makes the one that is stored of its bytes.

        Raises:
            StudyNotFoundError: its file or its journal cannot be read.
            StudyFormatError: what is there is not a study.
        """
        from flyteoptuna.flyte.references import reference, unpacked
        from flyteoptuna.flyte.report_delivery import left, received
        from flyteoptuna.study.system_attrs import SEARCH_ATTRIBUTE, study_attr
        from flyteoptuna.study.tell import tell, unheard

        fields = unpacked(self.study)
        study: Any = read(fields["_data"] if "_data" in fields else contents(fields["_path"]))
        if self.journal is not None:
            return _collected(study, self.journal)
        if self.reports is not None and study_attr(study, SEARCH_ATTRIBUTE):
            heard = received(reference(self.reports))
            heard += left(reference(self.study), unheard(study, heard))
            tell(study, heard)
        return study  # type: ignore[no-any-return]


def _collected(base: Any, journal: Journal) -> optuna.Study:
    from flyteoptuna.study.shared.study_of_journal import collected

    backend = journal.open()
    try:
        return collected(backend, base, journal.n_trials)[0]
    except Exception as error:
        # What a journal holds that is not, or no longer, that of a search.
        raise StudyFormatError(f"The journal {journal.url} is not that of the study: {reason(error)}") from error


def phase(remote: FlyteRemote, place: Place) -> tuple[str, bool]:
    """The phase of an execution, or of the node that was asked for, and whether it has ended.

    Raises:
        StudyNotFoundError: there is no such execution, or no such node.
    """
    from flytekit.exceptions.user import FlyteEntityNotExistException
    from flytekit.models.core.execution import NodeExecutionPhase, WorkflowExecutionPhase
    from flytekit.models.core.identifier import NodeExecutionIdentifier

    try:
        if place.node is None:
            name = WorkflowExecutionPhase.enum_to_string(remote.client.get_execution(place.execution).closure.phase)
        else:
            node = remote.client.get_node_execution(NodeExecutionIdentifier(place.node, place.execution))
            name = NodeExecutionPhase.enum_to_string(node.closure.phase)
    except FlyteEntityNotExistException:
        what = f"There is no execution {place}" if place.node is None else f"{place} has no node {place.node}"
        raise StudyNotFoundError(what) from None
    return name, name in _ENDED


def find(remote: FlyteRemote, place: Place) -> Found:
    """The study of an execution: what its workflow outputs, or else the latest one that a node of it got or made.

    Raises:
        StudyNotFoundError: there is none, or there are several.
    """
    from flytekit.exceptions.user import FlyteEntityNotExistException
    from flytekit.models.core.execution import WorkflowExecutionPhase
    from flytekit.models.core.identifier import NodeExecutionIdentifier

    client, execution, node = remote.client, place.execution, place.node
    try:
        closure = client.get_execution(execution).closure
    except FlyteEntityNotExistException:
        raise StudyNotFoundError(f"There is no execution {place}") from None
    phase = WorkflowExecutionPhase.enum_to_string(closure.phase)
    error = _in_a_line(closure.error.message if closure.error else "")
    state = f"The execution is {phase}{f': {error}' if error else ''}"
    try:
        if node is not None:
            found = _at(remote, client.get_node_execution(NodeExecutionIdentifier(node, execution)))
        else:
            outputs = _literals(client.get_execution_data(execution), "outputs")
            found = _output(outputs, str(place), place.output, state) or _newest(remote, execution)
        if found is None:
            raise StudyNotFoundError(f"No study is in {place}{f'#{node}' if node else ''}. {state}")
    except FlyteEntityNotExistException:
        raise _pending(StudyNotFoundError(f"{place} has no node {node}. {state}"), phase) from None
    except StudyNotFoundError as missing:
        raise _pending(missing, phase) from missing.__cause__
    return found


def _pending(missing: StudyNotFoundError, phase: str) -> StudyNotFoundError:
    missing.pending = phase not in _ENDED
    return missing


def _in_a_line(message: str) -> str:
    """The first line of an error, or of what it says after its traceback; empty for no error."""
    _, _, said = message.rpartition("Message:")
    return (said.strip() or message.strip()).partition("\n")[0].strip()


def _output(outputs: Mapping[str, Literal], where: str, name: str | None, state: str) -> Found | None:
    studies = _studies(outputs)
    if name is not None:
        if name not in studies:
            raise StudyNotFoundError(
                f"{where} has no study as output `{name}`; its studies: {', '.join(studies) or 'none'}. {state}"
            )
        return Found(studies[name])
    if len(studies) > 1:
        raise StudyNotFoundError(f"{where} outputs several studies: add one of {', '.join(f'/{n}' for n in studies)}")
    return next((Found(study) for study in studies.values()), None)


def _newest(remote: FlyteRemote, execution: WorkflowExecutionIdentifier, parent: str | None = None) -> Found | None:
    from flytekit.clients.helpers import iterate_node_executions

    nodes = list(
        iterate_node_executions(remote.client, workflow_execution_identifier=execution, unique_parent_id=parent)
    )
    nodes.sort(key=lambda n: n.closure.created_at.timestamp() if n.closure.created_at else 0.0)
    return next(filter(None, (_at(remote, node) for node in reversed(nodes))), None)


def _at(remote: FlyteRemote, node: Any) -> Found | None:
    """What a node made; of one that has not ended, what the latest node in it made or got; else what it got itself."""
    if node.id.node_id in _ENDS or node.metadata.spec_node_id in _ENDS:
        return None
    data = remote.client.get_node_execution_data(node.id)
    outputs = _literals(data, "outputs")
    found = _progress(outputs)
    if found is None and node.closure.workflow_node_metadata is not None:
        found = _newest(remote, node.closure.workflow_node_metadata.execution_id)
    elif found is None and node.metadata.is_parent_node and not node.metadata.is_array:
        found = _newest(remote, node.id.execution_id, node.id.node_id)
    if found is not None:
        return found
    found = _progress(_literals(data, "inputs"))
    if found is not None and found.journal is None and node.metadata.is_array:
        # A map outputs the reports of the trials that the study it got has asked.
        found = found._replace(reports=next((o for o in outputs.values() if o.collection is not None), None))
    return found


def _progress(literals: Mapping[str, Literal]) -> Found | None:
    found = _studies(literals)
    if len(found) != 1:
        return None
    [(name, study)] = found.items()
    if name != "study":
        return Found(study)
    reports = literals.get("reports")
    told = reports is None or reports.collection is None
    return Found(study, None if told else reports, _journal(literals))


def _journal(literals: Mapping[str, Literal]) -> Journal | None:
    """The journal that goes along with a study from node to node, if one does."""
    url, settings = (_text(literals.get(name)) for name in ("journal", "settings"))
    if not url or not settings:
        return None
    try:
        return Journal(url, plan.settings(settings).n_trials)
    except (TypeError, ValueError):
        # Another workflow's inputs of these names.
        return None


def _text(literal: Literal | None) -> str:
    primitive = literal.scalar.primitive if literal is not None and literal.scalar is not None else None
    value = primitive.value if primitive is not None else None
    return value if isinstance(value, str) else ""


def _literals(data: Any, kind: str) -> Mapping[str, Literal]:
    """The inputs or the outputs of a node or an execution, which are apart where they are large."""
    from flyteidl.core import literals_pb2
    from flytekit.models.literals import LiteralMap

    full, blob = getattr(data, f"full_{kind}"), getattr(data, kind)
    if full is not None and full.literals:
        literals: Mapping[str, Literal] = full.literals
        return literals
    if blob is None or not blob.bytes:
        return {}
    found: Mapping[str, Literal] = LiteralMap.from_flyte_idl(
        literals_pb2.LiteralMap.FromString(contents(blob.url))
    ).literals
    return found


def _studies(literals: Mapping[str, Literal]) -> dict[str, Literal]:
    # Protobuf's maps have no order.
    found = {name: _study_literal(literals[name]) for name in sorted(literals)}
    return {name: literal for name, literal in found.items() if literal is not None}


def _study_literal(literal: Literal) -> Literal | None:
    """The literal, if it is that of a study."""
    from flyteoptuna.flyte.references import unpacked

    fields = unpacked(literal)
    return literal if "n_trials" in fields and fields.keys() & {"_path", "_data"} else None
