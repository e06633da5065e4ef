"""Spaces: every suggestion under its path, and the whole as JSON."""

import copy

from hypothesis import given

from flyteoptuna.space import space
from flyteoptuna.space.suggestions import is_suggestion
from flyteoptuna.testing.strategies import spaces


@given(spaces())
def test_materialising_draws_each_path_once_and_mutates_nothing(inputs):
    """Each suggestion is drawn under its dotted path, in the order written, and the space stays as it was."""
    before, drawn = copy.deepcopy(inputs), []

    def draw(name, suggestion):
        drawn.append((name, suggestion))
        return name

    made = {k: space.substitute_suggestions(v, k, draw) for k, v in inputs.items()}
    assert inputs == before
    leaves = [leaf for k, v in inputs.items() for leaf in space.iter_leaves(v, k)]
    assert drawn == [*space.iter_suggestions(inputs)] == [(n, leaf) for n, leaf in leaves if is_suggestion(leaf)]
    assert [leaf for k, v in made.items() for leaf in space.iter_leaves(v, k)] == [
        (n, n if is_suggestion(leaf) else leaf) for n, leaf in leaves
    ]


@given(spaces())
def test_a_space_survives_its_json(inputs):
    """What a driver reads is what was written, types and order included."""
    assert repr(space.space_from_json(space.space_to_json(inputs))) == repr(inputs)
