"""Annotated inputs and outputs, such as those with a hash, in every way of running; and hashes in the cache."""

import pytest
from flytekit.models.literals import Literal, LiteralCollection, LiteralMap, Primitive, Scalar
from hypothesis import given
from hypothesis import strategies as st

from flyteoptuna.flyte.literal_hashes import hashed_content, hashed_inputs, input_hashes, restore_hashes
from flyteoptuna.flyte.references import Reference, make_reference
from flyteoptuna.testing import Cache, run

FLOW = "flow_of_hashes"
KINDS = ("batches", "reused", "of_a_callback")


@pytest.mark.parametrize("name", KINDS)
def test_annotated_outputs_and_inputs_are_passed_on_unread(flows, name):
    """The objective of the second search asserts that each input is what the best trial of the first has made."""
    assert run(getattr(flows(FLOW), name)).outputs == 4


@pytest.mark.parametrize("name", KINDS)
def test_annotated_outputs_and_inputs_in_a_local_run(flows, name, monkeypatch, tmp_path):
    """Without a graph."""
    monkeypatch.chdir(tmp_path)
    assert getattr(flows(FLOW), name)() == 4


@pytest.mark.parametrize(("name", "n_trials"), [("with_cache", 2), ("callback_with_cache", 2)])
def test_a_hash_stands_for_its_content_in_the_cache(flows, name, n_trials):
    """Another execution uploads equal data to another place, and gets the cached trials; other data are run."""
    workflow, cache = getattr(flows(FLOW), name), Cache()
    pods = [len(run(workflow, rows=rows, n_trials=n_trials, cache=cache).of(".trial-")) for rows in (2, 2, 3)]
    assert pods == [n_trials, 0, n_trials]


hashes = st.none() | st.text("ab", min_size=1, max_size=3)
scalars = st.builds(
    lambda number, text: Literal(Scalar(Primitive(integer=number)), hash=text), st.integers(0, 3), hashes
)
literals = st.recursive(
    scalars,
    lambda inner: (
        st.builds(lambda items, text: Literal(collection=LiteralCollection(items), hash=text), st.lists(inner), hashes)
        | st.builds(
            lambda items, text: Literal(map=LiteralMap(items), hash=text), st.dictionaries(st.text("xy"), inner), hashes
        )
    ),
    max_leaves=8,
)


def without_hashes(literal):
    """As Flyte binds a constant."""
    message = literal.to_flyte_idl()

    def clear(message):
        message.ClearField("hash")
        for inner in (*message.collection.literals, *message.map.literals.values()):
            clear(inner)

    clear(message)
    return make_reference(Literal.from_flyte_idl(message))


@given(literals)
def test_hashes_come_back_after_a_binding(literal):
    """Of the literal and of its elements; what has a hash has the content of any other literal with that hash."""
    before = {"x": make_reference(literal)}
    after = restore_hashes({"x": without_hashes(literal)}, input_hashes(before))
    assert hashed_inputs(after) == hashed_inputs(before)
    assert hashed_content(after["x"]) == hashed_content(before["x"])
    assert bool(hashed_inputs(before).names) is (
        without_hashes(literal).serialised() != Reference(literal).serialised()
    )
    if literal.hash:
        assert hashed_content(before["x"]) == Reference(Literal(hash=literal.hash)).serialised()
