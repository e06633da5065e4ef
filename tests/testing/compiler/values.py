"""Paths into promised values, and values for enums, unions and collections."""

from flyteidl.core import literals_pb2
from testing.compiler.cases import built, cases
from testing.compiler.protobufs import (
    EITHER,
    FLOAT,
    HALF,
    INT,
    INTEGER,
    LINE,
    LISTS,
    NONE,
    ONE,
    OPTIONAL,
    POINT,
    RED,
    STRING,
    STRUCT,
    TAGGED,
    TEXT,
    TRUE,
    UNTYPED,
    VOID,
    A,
    B,
    blob_of,
    call,
    dataset_of,
    enum_of,
    feed,
    fields,
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
    union_of,
    wrapped,
)

# Paths of attributes

PATHS = {
    "field": (POINT, INTEGER, "x"),
    "field_of_other_type": (POINT, INTEGER, "y"),
    "field_missing": (POINT, INTEGER, "z"),
    "field_empty": (POINT, INTEGER, ""),
    "field_by_number": (POINT, INTEGER, 0),
    "field_of_field": (LINE, FLOAT, "start", "y"),
    "field_of_field_missing": (LINE, FLOAT, "start", "z"),
    "field_beyond": (LINE, FLOAT, "start", "y", "z"),
    "field_of_element": (LINE, INTEGER, "points", 0, "x"),
    "field_of_list": (LINE, INTEGER, "points", "x"),
    "key": (LINE, STRING, "names", "k"),
    "key_by_number": (LINE, STRING, "names", 1),
    "many_steps": (LINE, FLOAT, "many", 0, "k", "y"),
    "many_steps_missing": (LINE, FLOAT, "many", 0, "k", "z"),
    "too_short": (LINE, POINT, "many", 0),
    "struct": (LINE, STRUCT, "start"),
    "index": (list_of(INTEGER), INTEGER, 1),
    "index_by_name": (list_of(INTEGER), INTEGER, "x"),
    "index_of_index": (list_of(list_of(INTEGER)), INTEGER, 1, 2),
    "index_too_deep": (list_of(INTEGER), INTEGER, 1, 2),
    "index_for_list": (list_of(INTEGER), list_of(INTEGER), 1),
    "int": (INTEGER, INTEGER, "x"),
    "bare_struct": (STRUCT, INTEGER, "x"),
    "bare_struct_for_struct": (STRUCT, STRUCT, "x", "y"),
    "bare_struct_for_optional": (STRUCT, union_of(INTEGER, STRUCT), "x"),
    "tagged": (TAGGED, INTEGER, "x"),
    "union": (union_of(POINT, NONE), INTEGER, "x"),
    "union_of_one": (union_of(POINT), INTEGER, "x"),
    "field_that_is_a_union": (fields(u=OPTIONAL), OPTIONAL, "u"),
    "field_that_is_a_union_for_int": (fields(u=OPTIONAL), INTEGER, "u"),
    "field_that_is_an_enum": (fields(e=A), STRING, "e"),
    "field_that_is_none": (fields(e=NONE), OPTIONAL, "e"),
    "no_fields": (fields(), INTEGER, "x"),
    "dataset": (dataset_of(x=INTEGER), INTEGER, "x"),
    "enum": (A, A, "a"),
    "field_without_type": (fields(x=UNTYPED), INTEGER, "x"),
}
cases(**{f"path_{name}": feed(given, wanted, *path) for name, (given, wanted, *path) in PATHS.items()})


@built
def paths_in_list():
    data = listed(promise("n0", "o0", "x"), promise("n0", "o0", "y"), promise("n0", "o0", "z"))
    return flow(node("n0", gives(POINT)), node("n1", takes(list_of(INTEGER)), a=data))


cases(
    path_of_input=flow(
        node("n0", INT, a=promise("", "p", "x")), inputs={"p": POINT}, outputs={"o": (FLOAT, promise("", "p", "y"))}
    ),
)


# Enums, unions and collections

MORE = {
    "enum_illegal": (A, scalar(primitive={"stringValue": "z"})),
    "enum_legal": (A, TEXT),
    "enum_empty": (RED, scalar(primitive={"stringValue": ""})),
    "enum_empty_by_int": (RED, ONE),
    "enum_in_list": (list_of(A), listed(TEXT, scalar(primitive={"stringValue": "z"}), TEXT)),
    "enum_in_union": (union_of(A, NONE), scalar(primitive={"stringValue": "z"})),
    "enum_wrapped": (A, wrapped(TEXT, A)),
    "enums_in_union": (union_of(A, B), TEXT),
    "enum_without_values": (enum_of(), TEXT),
    "lists_in_union_of_one": (LISTS, listed(ONE)),
    "lists_in_union_of_other": (LISTS, listed(TEXT)),
    "lists_in_union_empty": (LISTS, listed()),
    "lists_in_union_mixed": (LISTS, listed(ONE, TEXT)),
    "lists_in_union_neither": (LISTS, listed(HALF)),
    "list_in_optional": (union_of(list_of(INTEGER), NONE), listed(ONE)),
    "list_in_optional_empty": (union_of(list_of(INTEGER), NONE), listed()),
    "list_in_optional_wrong": (union_of(list_of(INTEGER), NONE), listed(TEXT)),
    "list_for_union_of_scalars": (EITHER, listed(ONE)),
    "list_of_optionals": (list_of(OPTIONAL), listed(ONE, VOID, wrapped(VOID, NONE))),
    "list_of_optionals_wrong": (list_of(OPTIONAL), listed(ONE, TEXT, HALF)),
    "list_of_unions_of_lists": (list_of(LISTS), listed(listed(ONE), listed(TEXT), listed())),
    "list_of_same_mistakes": (list_of(INTEGER), listed(TEXT, TEXT, TEXT)),
    "list_of_other_mistakes": (list_of(INTEGER), listed(TEXT, HALF, TRUE, listed(ONE), mapped(k=ONE))),
    "list_of_lists": (list_of(list_of(INTEGER)), listed(listed(ONE), listed(), listed(TEXT))),
    "list_too_deep": (list_of(INTEGER), listed(listed(ONE))),
    "list_too_flat": (list_of(list_of(INTEGER)), listed(ONE)),
    "list_five_deep": (
        list_of(list_of(list_of(list_of(list_of(FLOAT))))),
        listed(listed(listed(listed(listed(HALF))))),
    ),
    "list_for_struct": (STRUCT, listed(ONE)),
    "list_for_any": (blob_of("PythonPickle"), listed(ONE)),
    "map_for_struct": (STRUCT, mapped(k=ONE)),
    "map_of_lists": (map_of(list_of(INTEGER)), mapped(k=listed(ONE), l=listed(), m=listed(TEXT))),
    "map_of_unions": (map_of(OPTIONAL), mapped(k=ONE, l=VOID, m=TEXT)),
    "map_of_same_mistakes": (map_of(INTEGER), mapped(k=TEXT, l=TEXT)),
    "maps_in_union_empty": (union_of(map_of(INTEGER), map_of(STRING)), mapped()),
    "maps_in_union": (union_of(map_of(INTEGER), map_of(STRING)), mapped(k=TEXT)),
    "unions_in_union": (union_of(LISTS, NONE), listed(ONE)),
    "unions_in_union_empty": (union_of(LISTS, NONE), listed()),
    "unions_in_union_twice": (union_of(LISTS, LISTS), listed(ONE)),
    "union_without_variants": (union_of(), listed(ONE)),
    "union_without_variants_scalar": (union_of(), ONE),
    "none_for_optional_dataset": (union_of(dataset_of(), NONE), VOID),
    "none_wrapped_for_optional_dataset": (union_of(dataset_of(), NONE), wrapped(VOID, simple("NONE", tag="none"))),
    "none_for_two_nones": (union_of(INTEGER, NONE, NONE), VOID),
    "list_of_unset": (list_of(INTEGER), listed(literals_pb2.BindingData())),
    "list_of_unset_in_union": (LISTS, listed(literals_pb2.BindingData())),
    "union_of_enum_and_str": (union_of(STRING, A), TEXT),
    "list_in_union_of_list_and_any": (union_of(list_of(INTEGER), blob_of("PythonPickle")), listed(ONE)),
}
cases(**{f"given_{name}": call(kind, data) for name, (kind, data) in MORE.items()})


@built
def list_of_promises_in_union():
    data = listed(promise("n0"), ONE)
    return flow(node("n0", gives(INTEGER)), node("n1", takes(LISTS), a=data), outputs={"o": (LISTS, promise("n1"))})


cases(
    list_of_wrong_promises_in_union=flow(node("n0", gives(FLOAT)), node("n1", takes(LISTS), a=listed(promise("n0")))),
    list_of_unknown_promises_in_union=flow(node("n0", gives(FLOAT)), node("n1", takes(LISTS), a=listed(promise("n9")))),
)


# Inputs that nothing is bound to

LEFT_OUT = {
    "optional": OPTIONAL,
    "none": NONE,
    "untyped": UNTYPED,
    "scalars": EITHER,
    "lists": LISTS,
    "int_or_list": union_of(INTEGER, list_of(INTEGER)),
    "int_or_map": union_of(INTEGER, map_of(INTEGER)),
    "int_or_enum": union_of(INTEGER, A),
    "int_or_file": union_of(INTEGER, blob_of("csv")),
    "int_or_dataset": union_of(INTEGER, dataset_of()),
    "int_or_struct": union_of(INTEGER, STRUCT),
    "int_or_optional": union_of(INTEGER, OPTIONAL),
    "int_or_untyped": union_of(INTEGER, UNTYPED),
    "no_variants": union_of(),
    "list_of_optionals": list_of(OPTIONAL),
}
cases(**{f"left_out_{name}": flow(node("n0", takes(kind))) for name, kind in LEFT_OUT.items()})
