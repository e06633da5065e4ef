"""Executions that an engine has run, as Flyte's admin would list them."""

import shutil

from containers import CODE
from flyteidl.core import literals_pb2 as pb

from flyteoptuna.testing.engine.engine import Engine

FLYTE = "flyte://flytesnacks/development/ex"


def execution_of(folder, module, inputs):
    """An execution of the workflow `search` of a module: the workflow's outputs and its nodes."""
    engine = Engine(folder, CODE)
    outputs = engine.run(__import__(module).search, inputs)
    folders = {"": next((engine.root / "metadata").iterdir())}
    nodes = []
    for graph in engine.graphs:
        parent = graph.path.rpartition("-")[0]
        for name, _ in graph.nodes:
            path = f"{graph.path}-{name}" if graph.path else name
            data = folders[graph.path] / name / ("" if graph.path else "data")
            folders[f"{path}-0"] = data / "0"
            nodes.append((path, parent, data / "inputs.pb", engine.finished.outputs[path]))
    return outputs, nodes


def journal_of(execution):
    """The folder of the journal of a search with reused pods."""
    return execution[1][0][3]["journal"].scalar.primitive.string_value


def length(journal):
    """Entries of a journal."""
    return len(list(journal.glob("[0-9]*.json")))


def with_entries(execution, folder, count):
    """The nodes of such an execution when its journal had so many entries and its workers ran."""
    entries = sorted(folder.parent.joinpath(journal_of(execution)).glob("[0-9]*.json"))
    folder.mkdir(exist_ok=True)
    for entry in entries[:count]:
        shutil.copy(entry, folder / entry.name)
    journal = pb.Literal(scalar=pb.Scalar(primitive=pb.Primitive(string_value=str(folder))))
    begun = {**execution[1][0][3], "journal": journal}
    return [("n0", "", {}, begun), ("workers-of-the-search", "", begun, {})]
