"""A study that is stored somewhere, found and loaded: a path, a URL, or an execution of a Flyte cluster."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import optuna

from flyteoptuna.core.refusals import got
from flyteoptuna.storage import bounds, file
from flyteoptuna.storage.memory import SearchStudy
from flyteoptuna.storage.read_results import StudyFormatError

if TYPE_CHECKING:
    from flytekit.models.core.identifier import WorkflowExecutionIdentifier
    from flytekit.models.literals import Literal
    from flytekit.remote import FlyteRemote

SCHEME = "flyte://"
SYNTAX = "flyte://PROJECT/DOMAIN/EXECUTION, with /OUTPUT or #NODE after it to say which study"

_EXECUTION = re.compile(r"flyte://([^/#]+)/([^/#]+)/([^/#]+)(?:/([^/#]+)|#([^/#]+))?/?")
_ENDS = ("start-node", "end-node")


class StudyNotFoundError(LookupError):
    """There is no study where one was looked for, or it is out of reach; says where, and what there is instead."""


class _Found(NamedTuple):
    """The literal of a study, and that of the reports of its last batch where they have not been told yet."""

    study: Literal
    reports: Literal | None


def load_study(
    source: str | os.PathLike[str], *, trusted: bool = False, remote: FlyteRemote | None = None
) -> optuna.Study:
    """Load the study of a search from where it is stored.

    Of an execution it is the study that the workflow outputs. If it outputs none, or has not ended, it is the latest
    one that any node got or made: what a running or a failed search knew last, with the reports of its last batch.

    Args:
        source: a path; a URL that fsspec knows, read with the credentials that Flyte is configured with; or
            ``flyte://project/domain/execution``, with ``/output`` after it where a workflow outputs several studies,
            or ``#node`` for the study of a node, by its id.
        trusted: whether to restore the sampler, the pruner and the callbacks, to go on with the study. It unpickles:
            only for files that nobody else can write. Otherwise nothing is unpickled, and the results are complete.
        remote: the cluster of the execution. Default: the one that Flyte's configuration names.

    Returns:
        The study, in memory.

    Raises:
        StudyNotFoundError: there is no study, it is out of reach, or there are several.
        StudyFormatError: what is stored there is not a study.
        TypeError: ``source`` is no path, or ``trusted`` no bool.
        ValueError: a ``flyte://`` source of another form, or an empty one.
    """
    # Exactly a bool: what is true by accident, as "no" is, must not run a stranger's pickles.
    if not isinstance(trusted, bool):
        raise TypeError(f"`trusted` must be True or False, but got {got(trusted)}.")
    if not isinstance(source, (str, os.PathLike)) or not isinstance(text := os.fspath(source), str):
        raise TypeError(f"`source` must be a path, a URL or {SCHEME}..., but got {got(source)}.")
    if not text.strip():
        raise ValueError(f"`source` must be a path, a URL or {SCHEME}..., but got {got(source)}.")
    load = file.loads if trusted else file.read
    if text.startswith(SCHEME):
        match = _EXECUTION.fullmatch(text)
        if match is None:
            raise ValueError(f"`{text}` is no execution: expected {SYNTAX}.")
        study = _of_execution(*match.groups(), load=load, remote=remote)
    else:
        study = load(_bytes(text))
    if isinstance(study, SearchStudy):
        study.file = text if "://" in text else os.path.abspath(text)
    return study


def _bytes(path: str) -> bytes:
    try:
        if "://" not in path:
            with open(path, "rb") as local:
                return _bounded(local, os.fstat(local.fileno()).st_size)
        from flytekit.core.context_manager import FlyteContextManager

        files = FlyteContextManager.current_context().file_access.get_filesystem_for_path(path)
        with files.open(path, "rb") as stream:
            return _bounded(stream, getattr(stream, "size", None) or 0)
    except StudyFormatError:
        raise
    except FileNotFoundError:
        raise StudyNotFoundError(f"There is no file {path}") from None
    except Exception as error:
        # Each file system has exceptions of its own.
        raise StudyNotFoundError(f"{path} cannot be read: {_reason(error)}") from error


def _bounded(stream: IO[bytes], size: int) -> bytes:
    content = stream.read(bounds.MAX_BYTES + 1) if size <= bounds.MAX_BYTES else b""
    if max(size, len(content)) > bounds.MAX_BYTES:
        raise StudyFormatError(f"The file is too large: more than {bounds.MAX_BYTES} bytes.")
    return content


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _of_execution(
    project: str,
    domain: str,
    name: str,
    output: str | None,
    node: str | None,
    *,
    load: Callable[[bytes], Any],
    remote: FlyteRemote | None,
) -> optuna.Study:
    from flytekit.configuration import Config
    from flytekit.models.core.identifier import WorkflowExecutionIdentifier
    from flytekit.remote import FlyteRemote

    where = f"{SCHEME}{project}/{domain}/{name}"
    try:
        remote = remote or FlyteRemote(Config.auto())
        with remote.remote_context():
            found = _find(remote, WorkflowExecutionIdentifier(project, domain, name), where, output, node)
            return _loaded(found, load)
    except (StudyNotFoundError, StudyFormatError):
        raise
    except Exception as error:
        # Whatever gRPC, authentication and flytekit's client make of a cluster that is out of reach.
        raise StudyNotFoundError(f"{where} is out of reach: {_reason(error)}") from error


def _find(
    remote: FlyteRemote, execution: WorkflowExecutionIdentifier, where: str, output: str | None, node: str | None
) -> _Found:
    from flytekit.exceptions.user import FlyteEntityNotExistException
    from flytekit.models.core.execution import WorkflowExecutionPhase
    from flytekit.models.core.identifier import NodeExecutionIdentifier

    client = remote.client
    try:
        closure = client.get_execution(execution).closure
    except FlyteEntityNotExistException:
        raise StudyNotFoundError(f"There is no execution {where}") from None
    phase = WorkflowExecutionPhase.enum_to_string(closure.phase)
    error = closure.error.message.strip().splitlines()[0] if closure.error and closure.error.message.strip() else ""
    state = f"The execution is {phase}{f': {error}' if error else ''}"
    if node is not None:
        try:
            found = _at(remote, client.get_node_execution(NodeExecutionIdentifier(node, execution)))
        except FlyteEntityNotExistException:
            raise StudyNotFoundError(f"{where} has no node {node}. {state}") from None
    else:
        outputs = _literals(client.get_execution_data(execution), "outputs")
        found = _output(outputs, where, output, state) or _newest(remote, execution)
    if found is None:
        raise StudyNotFoundError(f"No study is in {where}{f'#{node}' if node else ''}. {state}")
    return found


def _output(outputs: Mapping[str, Literal], where: str, name: str | None, state: str) -> _Found | None:
    studies = _studies(outputs)
    if name is not None:
        if name not in studies:
            raise StudyNotFoundError(
                f"{where} has no study as output `{name}`; its studies: {', '.join(studies) or 'none'}. {state}"
            )
        return _Found(studies[name], None)
    if len(studies) > 1:
        raise StudyNotFoundError(f"{where} outputs several studies: add one of {', '.join(f'/{n}' for n in studies)}")
    return next((_Found(study, None) for study in studies.values()), None)


def _newest(remote: FlyteRemote, execution: WorkflowExecutionIdentifier, parent: str | None = None) -> _Found | None:
    from flytekit.clients.helpers import iterate_node_executions

    nodes = list(
        iterate_node_executions(remote.client, workflow_execution_identifier=execution, unique_parent_id=parent)
    )
    nodes.sort(key=lambda n: n.closure.created_at.timestamp() if n.closure.created_at else 0.0)
    return next(filter(None, (_at(remote, node) for node in reversed(nodes))), None)


def _at(remote: FlyteRemote, node: Any) -> _Found | None:
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
    if found is None and (found := _progress(_literals(data, "inputs"))) is not None and node.metadata.is_array:
        # A map outputs the reports of the trials that the study it got has asked.
        found = found._replace(reports=next((o for o in outputs.values() if o.collection is not None), None))
    return found


def _progress(literals: Mapping[str, Literal]) -> _Found | None:
    found = _studies(literals)
    if len(found) != 1:
        return None
    [(name, study)] = found.items()
    reports = literals.get("reports") if name == "study" else None
    return _Found(study, reports if reports is not None and reports.collection is not None else None)


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
        literals_pb2.LiteralMap.FromString(_bytes(blob.url))
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


def _loaded(found: _Found, load: Callable[[bytes], Any]) -> optuna.Study:
    from flyteoptuna.flyte.references import reference, unpacked
    from flyteoptuna.flyte.report_type import left, received
    from flyteoptuna.study.marks import SEARCH_ATTRIBUTE, study_attr
    from flyteoptuna.study.tell import tell, unheard

    fields = unpacked(found.study)
    study: optuna.Study = load(fields["_data"] if "_data" in fields else _bytes(fields["_path"]))
    if found.reports is not None and study_attr(study, SEARCH_ATTRIBUTE):
        heard = received(reference(found.reports))
        heard += left(reference(found.study), unheard(study, heard))
        tell(study, heard)
    return study
