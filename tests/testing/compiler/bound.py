"""Constants of each kind for inputs of each kind, and what is bound, unbound or misnamed."""

from itertools import product

from flyteidl.core import literals_pb2, types_pb2
from testing.compiler.cases import built, cases, changed
from testing.compiler.protobufs import (
    BINARY,
    DATETIME,
    DURATION,
    EITHER,
    FLOAT,
    HALF,
    INT,
    INTEGER,
    LISTS,
    NONE,
    ONE,
    OPTIONAL,
    POINT,
    STRING,
    STRUCT,
    TAGGED,
    TEXT,
    TRUE,
    UNTYPED,
    VOID,
    A,
    blob_of,
    call,
    dataset_of,
    feed,
    flow,
    gives,
    list_of,
    listed,
    map_of,
    mapped,
    node,
    promise,
    scalar,
    simple,
    takes,
    task,
    union_of,
    wrapped,
)

# Constants of each kind for inputs of each kind

SCALARS = {
    "int": ONE,
    "float": HALF,
    "str": TEXT,
    "bool": TRUE,
    "none": VOID,
    "struct": scalar(generic={"x": 1}),
    "msgpack": scalar(binary={"value": "gA==", "tag": "msgpack"}),
    "binary": scalar(binary={"value": "gA=="}),
    "blob": scalar(blob={"uri": "u", "metadata": {"type": {"format": "csv"}}}),
    "dataset": scalar(structuredDataset={"uri": "u", "metadata": {"structuredDatasetType": {"format": "parquet"}}}),
    "dataset_without_metadata": scalar(structuredDataset={"uri": "u"}),
    "union": wrapped(ONE, simple("INTEGER", tag="int")),
    "untyped_union": scalar(union={"value": {"scalar": {"primitive": {"integer": 1}}}}),
    "list": listed(ONE),
    "empty_list": listed(),
    "map": mapped(k=ONE),
    "empty_map": mapped(),
}
KINDS = {
    "int": INTEGER,
    "float": FLOAT,
    "str": STRING,
    "struct": STRUCT,
    "tagged": TAGGED,
    "enum": A,
    "file": blob_of("txt"),
    "dataset": dataset_of(a=INTEGER),
    "optional": OPTIONAL,
    "either": EITHER,
    "list": list_of(INTEGER),
    "map": map_of(INTEGER),
    "lists": LISTS,
    "list_or_map": union_of(list_of(INTEGER), map_of(INTEGER)),
    "none": NONE,
    "untyped": UNTYPED,
}
for (given, data), (wanted, kind) in product(SCALARS.items(), KINDS.items()):
    cases(**{f"constant_{given}_for_{wanted}": call(kind, data)})


# What is bound, and what is not


@changed("chain")
def input_not_bound(parts):
    del parts.nodes[1].inputs[:]


@changed("chain")
def input_of_no_name(parts):
    parts.nodes[0].inputs[0].var = ""


@changed("chain")
def input_unknown(parts):
    parts.nodes[1].inputs.add(var="z").binding.CopyFrom(ONE)


@changed("chain")
def input_bound_twice(parts):
    parts.nodes[1].inputs.add().CopyFrom(parts.nodes[1].inputs[0])


@changed("chain")
def input_bound_to_two_values(parts):
    parts.nodes[1].inputs.add(var="a").binding.CopyFrom(TEXT)


@changed("chain")
def input_without_binding(parts):
    parts.nodes[1].inputs[0].ClearField("binding")


@changed("chain")
def binding_without_value(parts):
    parts.nodes[1].inputs[0].binding.Clear()
    parts.nodes[1].inputs[0].binding.SetInParent()


@changed("optional_given")
def optional_inputs_not_bound(parts):
    for each in parts.nodes:
        del each.inputs[:]


@changed("list_of_promises")
def node_unknown(parts):
    parts.nodes[0].inputs[0].binding.promise.node_id = "n9"


@changed("list_of_promises")
def node_unknown_in_list(parts):
    for each in parts.nodes:
        for item in each.inputs[0].binding.collection.bindings:
            item.promise.node_id = "n9"


@changed("chain")
def variable_unknown(parts):
    parts.nodes[1].inputs[0].binding.promise.var = "z"


@changed("chain")
def variable_of_no_name(parts):
    parts.nodes[1].inputs[0].binding.promise.var = ""


@changed("chain")
def node_without_name_in_promise(parts):
    parts.nodes[1].inputs[0].binding.promise.node_id = ""


@changed("chain")
def start_node_named(parts):
    parts.nodes[0].inputs[0].binding.promise.node_id = "start-node"


@changed("chain")
def promise_of_end_node(parts):
    parts.nodes[0].inputs[0].binding.promise.node_id = "end-node"


cases(
    promise_without_fields=call(INTEGER, literals_pb2.BindingData(promise=types_pb2.OutputReference())),
    scalar_without_value=call(INTEGER, literals_pb2.BindingData(scalar=literals_pb2.Scalar())),
    primitive_without_value=call(NONE, scalar(primitive={})),
    blob_without_metadata=call(blob_of(), scalar(blob={"uri": "u"})),
    blob_without_type=call(blob_of(), scalar(blob={"uri": "u", "metadata": {}})),
    schema_without_type=call(dataset_of(), scalar(schema={"uri": "u"})),
    unions_in_unions=call(union_of(OPTIONAL), wrapped(wrapped(ONE, INTEGER), OPTIONAL)),
)


@built
def datetime_and_duration():
    moment = scalar(primitive={"datetime": "2026-01-02T00:00:00Z"})
    return flow(
        node("n0", takes(DATETIME), a=moment), node("n1", takes(DURATION), a=scalar(primitive={"duration": "3s"}))
    )


cases(
    binary_between_nodes=feed(BINARY, BINARY),
)


# Names


def named(*names, var, kind=INTEGER):
    """A workflow with inputs of names, the variable of one of which is promised."""
    return flow(node("n0", INT, a=promise("", var)), inputs=dict.fromkeys(names, kind))


NAMES = {
    "greek": "η",
    "french": "modèle",
    "greek_before": "ηa",
    "french_end": "né",
    "dash": "a-b",
    "dot": "a.b",
    "space": " a",
    "spaces": "a b",
    "digits": "0",
    "underscore": "_",
    "sign": "a!",
    "no_letter": "!",
    "arabic_digit": "٣",
    "combining": "e\u0301",
    "newline": "a\nb",
    "index": "[0].a",
    "index_without_dot": "[0]a",
    "index_without_name": "[0].",
    "index_of_no_number": "[x].a",
    "index_twice": "[0].[1].a",
    "huge_index": "[99999999999999999999].a",
    "index_after": "a[0]",
    "index_with_sign": "[-1].a",
    "index_in_arabic": "[٣].a",
}
for name, var in NAMES.items():
    cases(**{f"variable_{name}": named(var, var=var)})
    cases(**{f"variable_{name}_beside_a": named(var, "a", "b", "né", var=var)})


@built
def parameter_greek():
    greek = task(inputs={"η": INTEGER}, outputs={"o0": INTEGER})
    return flow(node("n0", greek, η=ONE), outputs={"é": (INTEGER, promise("n0"))})


cases(
    output_greek=flow(node("n0", task(outputs={"η": INTEGER})), node("n1", INT, a=promise("n0", "η"))),
    node_greek=flow(node("η", gives(INTEGER)), node("n1", INT, a=promise("η"))),
    index_of_list=feed(list_of(INTEGER), INTEGER, var="[3].o0"),
    index_of_list_of_other_type=feed(list_of(STRING), INTEGER, var="[3].o0"),
    index_of_int=feed(INTEGER, INTEGER, var="[3].o0"),
    index_of_int_for_str=feed(INTEGER, STRING, var="[3].o0"),
    index_of_itself=flow(node("n0", INT, a=promise("n0", "[3].o0"))),
    index_and_path=feed(list_of(POINT), INTEGER, "x", var="[3].o0"),
)
