"""Outputs of a study that is not trusted: whatever its file names, and whoever reads it, nothing is unpickled."""

import copy
import http.server
import pickle
import threading
import typing
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import flytekit as fl
import joblib
import numpy as np
import optuna
import pandas as pd
import pytest
import sklearn.base
from command_line import run as command
from flytekit.exceptions.user import FlyteDataNotFoundException
from flytekit.models.literals import Literal, LiteralCollection, LiteralOffloadedMetadata
from flytekit.models.types import LiteralType, SimpleType
from flytekit.types.directory import FlyteDirectory
from flytekit.types.file import FlyteFile
from flytekit.types.pickle import FlytePickle
from flytekit.types.structured.structured_dataset import StructuredDataset
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from untrusted import Trap, blob, frame, pickled_dictionary, primitive, study_with, traps

from flyteoptuna import JournalObjectBackend, Optimizer, UntrustedError, export, load_study, outputs, suggest
from flyteoptuna.flyte.references import msgpack_literal
from flyteoptuna.storage.file_format import dump_study, restore_study
from flyteoptuna.study.shared.journal_study import publish_study
from flyteoptuna.testing import ExecutionFailedError, run, simulate

TRAPS = ["pickle", "dictionary", "items", "mapped", "union", "unions", "offloaded", "frame"]
# What each is read as, for flytekit to unpickle it.
TYPES = {"dictionary": dict, "unions": list[dict | None], "offloaded": typing.Any}


class Model:
    """A class that flytekit can only pickle."""


@dataclass
class Config:
    depth: int
    names: dict[str, list[int]]


class Kind(Enum):
    TREE = "tree"


@pytest.fixture
def stranger(tmp_path, saved):
    """The path of a study with a trap in each output; one that is sprung makes the file `mark`."""
    return saved(study_with(traps(tmp_path)))


@fl.task
def objective(x: float) -> tuple[float, Model]:
    return x, Model()


def searched(study=None):
    return Optimizer(objective, 1, 1, study=study)(x=suggest.float(0, 1))


def added(study, trials):
    study.add_trials(trials)
    return study


def exported(study, target, storage):
    export(study, target, name="copy")
    return optuna.load_study(study_name="copy", storage=storage(target))


def journal(target):
    return JournalStorage(JournalFileBackend(target))


def optunas(path):
    """The study in a storage of Optuna's, by people who trusted the file."""
    return added(optuna.create_study(), load_study(path, trusted=True).trials)


def published(path):
    """The folder of a journal that holds the study as the stranger wrote it."""
    publish_study(load_study(path, trusted=True), JournalObjectBackend(f"{path}.journal"))
    return f"{path}.journal"


READERS = {
    "loaded": load_study,
    "of a journal": lambda path: load_study(published(path)),
    "copied": lambda path: copy.copy(load_study(path)),
    "copied deeply": lambda path: copy.deepcopy(load_study(path)),
    "pickled": lambda path: pickle.loads(pickle.dumps(load_study(path))),
    "saved again": lambda path: restore_study(dump_study(load_study(path))),
    "Optuna's own": optunas,
    "added to another": lambda path: added(optuna.create_study(), load_study(path).trials),
    "added to a search's": lambda path: added(searched(), load_study(path).trials),
    "in a database": lambda path: exported(load_study(path), f"sqlite:///{path}.db", str),
    "in a journal": lambda path: exported(load_study(path), f"{path}.log", journal),
    "continued": lambda path: searched(load_study(path)),
    "Optuna's own, continued": lambda path: searched(optunas(path)),
    "simulated": lambda path: (
        simulate(Optimizer(objective, 1, 1, study=load_study(path)), {"x": suggest.float(0, 1)}).study
    ),
    "Optuna's own, simulated": lambda path: (
        simulate(Optimizer(objective, 1, 1, study=optunas(path)), {"x": suggest.float(0, 1)}).study
    ),
}


@pytest.mark.parametrize("reader", READERS)
def test_no_study_that_a_strangers_becomes_unpickles(reader, stranger, tmp_path):
    """No copy, other storage or further search makes it trusted; `outputs` alone is told so."""
    study = READERS[reader](stranger)
    [number] = [trial.number for trial in study.trials if trial.value == -1e9]
    for types in (None, TYPES, dict.fromkeys(TRAPS, typing.Any)):
        found = outputs(study, number, types)
        assert [*found] == TRAPS and dir(found) == sorted(TRAPS) and "trap.pickle" in repr(found)
        for name in TRAPS:
            with pytest.raises(
                UntrustedError, match=rf"output `{name}` of Trial {number} .* pass trusted=True to `out"
            ):
                _ = found[name]
    assert not (tmp_path / "mark").exists()
    _ = outputs(study, number, trusted=True).pickle
    assert (tmp_path / "mark").exists()


@pytest.mark.parametrize("name", TRAPS)
def test_each_trap_is_one(name, stranger, tmp_path):
    """With trust it is read, and unpickled by flytekit; else the tests of this file would show nothing."""
    for study, words in ((load_study(stranger, trusted=True), {}), (load_study(stranger), {"trusted": True})):
        found = outputs(study, 0, {k: v for k, v in TYPES.items() if k == name}, **words)
        if name == "frame":
            # No reader of the format is registered here.
            assert isinstance(found[name], StructuredDataset)
        else:
            _ = found[name]
            (tmp_path / "mark").unlink()


ACCESSES = {
    "an attribute": getattr,
    "an attribute with a default": lambda found, name: getattr(found, name, None),
    "hasattr": hasattr,
    "an item": lambda found, name: found[name],
    "get": lambda found, name: found.get(name, None),
    "values": lambda found, name: [*found.values()],
    "items": lambda found, name: [*found.items()],
    "dict": lambda found, name: dict(found),
    "unpacking": lambda found, name: {**found},
    "==": lambda found, name: found == {name: 1},
    "in": lambda found, name: 1 in found.values(),
    "a copy": lambda found, name: copy.copy(found)[name],
    "a deep copy": lambda found, name: copy.deepcopy(found)[name],
    "a pickle": lambda found, name: pickle.loads(pickle.dumps(found))[name],
}


@pytest.mark.parametrize("access", ACCESSES)
def test_no_access_unpickles(access, tmp_path, saved):
    """Each is refused with the word that allows it."""
    for name, literal in traps(tmp_path).items():
        found = outputs(load_study(saved(study_with({name: literal}))), 0)
        with pytest.raises(UntrustedError, match=rf"The output `{name}` of Trial 0 .* may be a pickle.* trusted=True"):
            ACCESSES[access](found, name)
    assert not (tmp_path / "mark").exists()


UNSAFE = [typing.Any, object, Model, FlytePickle, FlytePickle[int], list[Model], dict[str, typing.Any], Model | None]
UNSAFE += [list[dict[str, Model]], typing.Annotated[Model, 1], tuple, tuple[int], set, int | dict[str, object]]
UNSAFE += [typing.Annotated[np.ndarray, {"allow_pickle": True}], typing.TypeVar, frozenset[int]]


@pytest.mark.parametrize("kind", UNSAFE, ids=str)
def test_no_type_unpickles(kind, stranger, tmp_path):
    """One for which flytekit may use a pickle is refused, wherever it stands in another."""
    for name in TRAPS:
        with pytest.raises(ValueError, match="cannot be read as "):
            _ = outputs(load_study(stranger), 0, {name: kind})[name]
    with pytest.raises(UntrustedError, match=r"would be read as .*trusted=True"):
        _ = outputs(load_study(stranger), 0, {"pickle": kind}).pickle
    assert not (tmp_path / "mark").exists()


def test_a_type_with_a_reader_of_its_own_unpickles_nothing(tmp_path, saved):
    """As flytekit's of scikit-learn's estimators, by joblib; without the type it is a file."""
    joblib.dump(Trap(tmp_path / "mark"), tmp_path / "trap.joblib")
    path = saved(study_with({"model": blob(tmp_path / "trap.joblib", "SklearnEstimator")}))
    types = {"model": sklearn.base.BaseEstimator}
    with pytest.raises(UntrustedError, match=r"would be read as .*BaseEstimator.*trusted=True"):
        _ = outputs(load_study(path), 0, types).model
    assert str(outputs(load_study(path), 0).model) == str(tmp_path / "trap.joblib")
    assert not (tmp_path / "mark").exists()
    _ = outputs(load_study(path), 0, types, trusted=True).model
    assert (tmp_path / "mark").exists()


@pytest.mark.parametrize("kind", ["FlyteFile", "flytekit.types.file.FlyteFile", 5, typing.ForwardRef("int"), [int]])
@pytest.mark.parametrize("trusted", [False, True])
def test_a_type_is_a_type(kind, trusted, stranger, tmp_path):
    """Flytekit takes anything else, such as the name of one, for a class that it pickles."""
    with pytest.raises(TypeError, match=r"`types\['pickle'\]` must be a type, but got "):
        outputs(load_study(stranger), 0, {"pickle": kind}, trusted=trusted)
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("trusted", ["no", 0, 1, None])
def test_trust_is_true_or_false(trusted, stranger):
    """Nothing that only counts as true."""
    with pytest.raises(TypeError, match="`trusted` must be True or False, but got"):
        outputs(load_study(stranger), 0, trusted=trusted)


def test_commands_unpickle_nothing(stranger, tmp_path):
    """They say where each output is."""
    assert "trap.pickle" in command("show", stranger)
    for target in ("t.csv", "t.log", "t.parquet"):
        command("export", stranger, "--to", tmp_path / target)
    command("report", stranger, "--to", tmp_path / "page.html")
    assert not (tmp_path / "mark").exists() and "trap.pickle" in (tmp_path / "t.csv").read_text()


@fl.task
def first_output(study: optuna.Study) -> str:
    return str(outputs(study, 0).pickle)


@fl.task
def with_a_file(x: float) -> tuple[float, Model, FlyteFile]:
    return x, Model(), FlyteFile(__file__)


def test_a_task_that_takes_the_study_unpickles_no_output(stranger, tmp_path):
    """Its input has the trust of the study that it was given."""
    for study in (load_study(stranger), optunas(stranger)):
        with pytest.raises(ValueError, match="trusted=True"):
            first_output(study=study)
    assert not (tmp_path / "mark").exists()
    first_output(study=load_study(stranger, trusted=True))
    assert (tmp_path / "mark").exists()


@pytest.mark.parametrize("reuse", [False, True])
def test_the_best_output_is_not_unpickled(reuse, tmp_path, saved):
    """Where the stranger's trial is the best one of a further search; what is no pickle is passed on."""
    literals = {"o1": traps(tmp_path)["pickle"], "o2": blob(__file__)}
    study = load_study(saved(study_with(literals)))
    optimizer = Optimizer(with_a_file, 1, 1, study=study, reuse_pods=reuse)
    optimizer(x=suggest.float(0, 1))
    with pytest.raises(UntrustedError, match=r"The best trial, 0, of study .* has an output 'o1' .* trusted=True"):
        _ = optimizer.best.o1
    assert str(optimizer.best.o2) == __file__

    @fl.workflow
    def passed_on(study: optuna.Study) -> Model:
        optimizer = Optimizer(with_a_file, 1, 1, study=study, reuse_pods=reuse)
        optimizer(x=suggest.float(0, 1))
        return optimizer.best.o1

    with pytest.raises(ValueError, match="trusted=True"):
        passed_on(study=study)
    assert not (tmp_path / "mark").exists()


def test_what_is_no_pickle_is_read(tmp_path, saved):
    """Numbers, text, files, folders, frames, dictionaries, enums and dataclasses, in lists and unions too."""
    text, folder, table = tmp_path / "text.txt", tmp_path / "parts", tmp_path / "table.parquet"
    text.write_text("text")
    folder.mkdir()
    pd.DataFrame({"x": [1]}).to_parquet(table)
    np.save(tmp_path / "array.npy", np.arange(2))
    config = msgpack_literal({"depth": 3, "names": {"a": [1]}})
    literals = {
        "number": primitive(float_value=1.5),
        "kind": primitive(string_value="tree"),
        "config": config,
        "several": Literal(collection=LiteralCollection([config, config])),
        "file": blob(text),
        "folder": blob(folder, parts=True),
        "table": frame(table),
        "array": blob(tmp_path / "array.npy", "NumpyArray"),
    }
    study = load_study(saved(study_with(literals)))
    found = outputs(study, 0)
    assert (found.number, found.kind, found.config["depth"], len(found.several)) == (1.5, "tree", 3, 2)
    assert Path(found.file).read_text() == "text" and isinstance(found.folder, FlyteDirectory)
    assert found.table.open(pd.DataFrame).all()["x"].tolist() == [1]
    types = {
        "number": float | None,
        "kind": Kind,
        "config": Config,
        "several": list[Config],
        "file": FlyteFile["txt"],
        "table": pd.DataFrame,
        "array": np.ndarray,
    }
    typed = outputs(study, 0, types)
    assert (typed.number, typed.kind, typed.config) == (1.5, Kind.TREE, Config(3, {"a": [1]}))
    assert typed.several == [typed.config] * 2 and Path(typed.file).read_text() == "text"
    assert typed.table["x"].tolist() == [1] and typed.array.tolist() == [0, 1]
    assert dict(outputs(load_study(saved(study_with({"a": literals["number"]}))), 0)) == {"a": 1.5}


def test_a_file_of_a_pickle_is_a_file(stranger, tmp_path):
    """What is in it is for the reader to open."""
    found = outputs(load_study(stranger), 0, {"pickle": FlyteFile})
    assert str(found.pickle) == str(tmp_path / "trap.pickle") and not (tmp_path / "mark").exists()


def test_outputs_of_a_search_that_goes_on_are_its_own(stranger):
    """They are read like those of any search, beside the stranger's."""
    study = searched(load_study(stranger))
    assert isinstance(outputs(study, 1).o1, Model)


@pytest.mark.parametrize("name", ["read_by_number", "read_as_best"])
def test_no_pod_unpickles(name, flows, tmp_path, saved):
    """Neither the pod of a task that takes the study, nor one that is given the best trial's output."""
    flow = flows("flow_of_outputs")
    study = load_study(saved(study_with({"o1": traps(tmp_path)["pickle"]})))
    with pytest.raises(ExecutionFailedError, match=r"output .?o1.* trusted=True to `outputs`"):
        run(getattr(flow, name), {"study": study})
    assert not (tmp_path / "mark").exists()
    if name == "read_by_number":
        assert run(flow.read_by_number, {"study": study, "number": 1}).outputs == "Model"


def test_no_address_of_a_stranger_is_asked(tmp_path, saved):
    """By listing, showing, exporting, or taking an output as a file, a folder or a frame: only by opening it."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        do_HEAD = do_GET  # noqa: N815 - the name in the base class

        def log_message(self, *args):
            """Log nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        offloaded = LiteralOffloadedMetadata(f"{url}/offloaded", 1, LiteralType(simple=SimpleType.STRUCT))
        literals = {
            "file": blob(f"{url}/file"),
            "folder": blob(f"{url}/folder", parts=True),
            "frame": frame(f"{url}/frame"),
            "pickle": blob(f"{url}/pickle", "PythonPickle"),
            "dictionary": pickled_dictionary(f"{url}/dictionary"),
            "offloaded": Literal(offloaded_metadata=offloaded),
        }
        path = saved(study_with(literals))
        found = outputs(load_study(path), 0)
        assert isinstance(found.file, FlyteFile) and isinstance(found.folder, FlyteDirectory)
        assert isinstance(found.frame, StructuredDataset) and repr(found)
        for name in ("pickle", "dictionary", "offloaded"):
            with pytest.raises(UntrustedError):
                _ = found[name]
        command("show", path)
        command("export", path, "--to", tmp_path / "t.csv")
        command("report", path, "--to", tmp_path / "page.html")
        assert asked == []
        with pytest.raises(FlyteDataNotFoundException):
            found.file.download()
        assert set(asked) == {"/file"}
        server.shutdown()
