"""A study from a stranger: what reading any of its outputs would run, and the literals that lead there."""

import base64
import pathlib
import pickle

from flytekit.models.core.types import BlobType
from flytekit.models.literals import (
    Blob,
    BlobMetadata,
    Literal,
    LiteralCollection,
    LiteralMap,
    LiteralOffloadedMetadata,
    Primitive,
    Scalar,
    StructuredDataset,
    StructuredDatasetMetadata,
    Union,
)
from flytekit.models.types import LiteralType, SimpleType, StructuredDatasetType, TypeStructure
from google.protobuf import struct_pb2
from optuna.samplers import RandomSampler
from optuna.study import StudyDirection
from optuna.trial import create_trial

from flyteoptuna.flyte.references import Reference
from flyteoptuna.storage.search_study import new_study
from flyteoptuna.trial.marks import OUTPUTS_ATTRIBUTE


class Trap:
    """What leaves a mark when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return (pathlib.Path.touch, (pathlib.Path(self.mark),))


def blob(uri, format="", parts=False):  # noqa: A002 - the name in Flyte
    kind = BlobType.BlobDimensionality
    metadata = BlobMetadata(BlobType(format=format, dimensionality=kind.MULTIPART if parts else kind.SINGLE))
    return Literal(scalar=Scalar(blob=Blob(metadata=metadata, uri=str(uri))))


def frame(uri, format="parquet"):  # noqa: A002
    metadata = StructuredDatasetMetadata(StructuredDatasetType(format=format))
    return Literal(scalar=Scalar(structured_dataset=StructuredDataset(str(uri), metadata)))


def pickled_dictionary(uri):
    fields = struct_pb2.Struct()
    fields.update({"pickle_file": str(uri)})
    return Literal(scalar=Scalar(generic=fields), metadata={"format": "pickle"})


def in_union(literal):
    variant = LiteralType(simple=SimpleType.STRUCT, structure=TypeStructure(tag="Typed Dict"))
    return Literal(scalar=Scalar(union=Union(literal, variant)))


def primitive(**value):
    return Literal(scalar=Scalar(primitive=Primitive(**value)))


def traps(folder):
    """Literals that lead to a pickle, by name, each in a form that some reader of flytekit unpickles."""
    uri, mark, offloaded = folder / "trap.pickle", folder / "mark", folder / "offloaded.pb"
    uri.write_bytes(pickle.dumps(Trap(mark)))
    plain = blob(uri, "PythonPickle")
    offloaded.write_bytes(plain.to_flyte_idl().SerializeToString())
    return {
        "pickle": plain,
        "dictionary": pickled_dictionary(uri),
        "items": Literal(collection=LiteralCollection([primitive(integer=1), plain])),
        "mapped": Literal(map=LiteralMap({"a": Literal(collection=LiteralCollection([plain]))})),
        "union": in_union(plain),
        "unions": Literal(collection=LiteralCollection([in_union(pickled_dictionary(uri))])),
        "offloaded": Literal(offloaded_metadata=LiteralOffloadedMetadata(str(offloaded), 10, LiteralType(simple=1))),
        "frame": frame(uri, "pickle"),
    }


def stored(literal):
    return base64.b64encode(Reference(literal).serialised()).decode()


def study_with(literals, **attributes):
    """A study of one trial with these outputs."""
    study = new_study([StudyDirection.MINIMIZE], RandomSampler(seed=0), None)
    outputs = {name: stored(literal) for name, literal in literals.items()}
    study.add_trial(create_trial(value=-1e9, system_attrs={OUTPUTS_ATTRIBUTE: outputs, **attributes}))
    return study
