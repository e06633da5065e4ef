"""Fixed inputs of many kinds reach each trial as they are, wherever they come from, and compile as Flyte wants it."""

import pytest

from flyteoptuna.testing import run

FOUR = (
    "of_fields",
    "of_fields_reused",
    "of_plain",
    "of_lists_with_promises",
    "of_lists_with_promises_reused",
    "of_narrower",
    "of_narrower_reused",
    "of_a_callback",
)


@pytest.mark.parametrize("name", FOUR)
def test_each_trial_gets_the_inputs_that_were_given(flows, name):
    """The objective asserts each of them; across processes, with the graphs compiled as Flyte compiles them."""
    workflow = getattr(flows("flow_of_kinds"), name)
    assert run(workflow).outputs == 4


@pytest.mark.parametrize("name", [name for name in FOUR if not name.endswith("_reused")])
def test_a_local_run_gives_them_as_well(flows, name):
    """Without a compiler."""
    assert getattr(flows("flow_of_kinds"), name)() == 4


@pytest.mark.parametrize("name", ["of_names", "of_names_reused"])
def test_an_input_may_have_a_name_beyond_ascii(flows, name):
    """Flyte reads the names of outputs in ASCII, and a search has its own for them."""
    assert tuple(run(getattr(flows("flow_of_kinds"), name)).outputs) == (4, "kept")


@pytest.mark.parametrize("name", ["of_parameters", "of_parameters_reused"])
def test_a_task_gets_a_parameter_of_the_best_trial_by_its_name(flows, name):
    """A float, an int, a text, one of several types, and an int where the objective takes floats."""
    workflow = getattr(flows("flow_of_kinds"), name)
    assert 0 <= run(workflow).outputs <= 1
    assert 0 <= workflow() <= 1


def test_settings_and_a_study_that_may_be_none_are_inputs_of_a_workflow(flows):
    """The second search goes on from the first, with numbers of its study for settings."""
    assert run(flows("flow_of_kinds").from_inputs).outputs == 4


def test_two_searches_with_reused_pods_stand_in_one_workflow(flows):
    """The ids of their nodes differ, for Flyte runs one node of each id."""
    assert tuple(run(flows("flow_of_kinds").two_searches).outputs) == (3, 3)
