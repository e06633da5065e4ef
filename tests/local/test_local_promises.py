"""Promises in a local run: what a cluster resolves is resolved here, and bodies get what they get there."""

import re

import optuna
import pytest


@pytest.mark.parametrize(
    ("workflow", "inputs", "expected"),
    [
        ("of_a_field", {}, r"\S+ 3"),
        ("of_an_item", {}, r"\S+ 3"),
        ("of_a_tuple", {}, "given 3"),
        ("of_a_list", {}, "given 3"),
        ("of_perhaps", {"there": True}, "given 3"),
        ("of_perhaps", {"there": False}, r"(?!given)\S+ 3"),
        ("of_another_search", {}, r"\S+ 6"),
    ],
)
def test_fields_and_items_of_promises(flows, workflow, inputs, expected):
    """Are settings, inputs and studies, each as often as it is used."""
    assert re.fullmatch(expected, getattr(flows("flow_of_promises"), workflow)(**inputs))


@pytest.mark.parametrize("study", [None, "given"])
@pytest.mark.parametrize("limit", [None, 5])
def test_what_a_workflow_may_be_given(flows, study, limit):
    """None is a new study, and no limit."""
    flow = flows("flow_of_promises")
    given = optuna.create_study(study_name=study) if study else None
    found = flow.of_an_input(made=flow.Settings(4, 50.0), study=given, limit=limit)
    assert found.endswith(" 4") and found.startswith("given") == (study is not None)


def test_a_body_gets_what_it_gets_on_a_cluster(flows):
    """A task the study, whatever runs it, and a workflow or a dynamic a promise."""
    flow = flows("flow_of_promises")
    task, mapped, threads, in_dynamic, mapped_in_dynamic, *values = flow.of_bodies()
    assert {task, *mapped, *threads.split(), in_dynamic, *mapped_in_dynamic} == {"SearchStudy"}
    assert all(0 <= value <= 1 for value in values)
    assert flow.in_a_task() == flow.kind() == "SearchStudy"
    assert flow.in_a_dynamic()[0] == "SearchStudy"
