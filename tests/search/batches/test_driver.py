"""A driver's pod: its seed, its deck, and how much it hands on."""

import re
from types import SimpleNamespace

import optuna
import pytest
from containers import CODE, run
from flytekit.core.context_manager import ExecutionState, FlyteContextManager

from flyteoptuna import Optimizer, suggest
from flyteoptuna.search import trial_inputs
from flyteoptuna.search.batches import driver
from flyteoptuna.testing.engine.engine import Engine
from flyteoptuna.testing.engine.scopes import ExecutionFailedError
from flyteoptuna.testing.pods.pod import Fault
from flyteoptuna.trial.report import ERROR_ATTRIBUTE


def test_a_seed_is_that_of_the_node_whatever_the_attempt(monkeypatch):
    """So that a retried driver makes the same study, and another node another."""

    def at(prefix):
        mode = ExecutionState.Mode.TASK_EXECUTION
        state = SimpleNamespace(is_local_execution=lambda: False, mode=mode)
        params = SimpleNamespace(output_metadata_prefix=prefix)
        ctx = SimpleNamespace(execution_state=state, user_space_params=params)
        monkeypatch.setattr(FlyteContextManager, "current_context", lambda: ctx)
        return driver.node_seed()

    first = at("s3://bucket/metadata/p-d-a1/n0/data/0")
    assert first == at("s3://bucket/metadata/p-d-a1/n0/data/1")
    assert first != at("s3://bucket/metadata/p-d-a1/n1/data/0")
    assert first != at("s3://bucket/metadata/p-d-a2/n0/data/0")


LIMIT = 2 * 1024 * 1024


def test_a_thousand_trials_fit_into_one_graph(tmp_path, flows):
    """The graph of the batch, with all its inputs, and all that is handed on is below what Flyte reads."""
    engine = Engine(tmp_path, CODE, faults=lambda p: Fault.KILL if ".trial-" in p.task else None)
    with pytest.raises(ExecutionFailedError, match="All of the first 1000 trials failed"):
        engine.run(flows("flow_of_size").wide)
    sizes = [file.stat().st_size for file in (tmp_path / "metadata").rglob("*.pb")]
    assert 0.2 * LIMIT < max(sizes) < 0.7 * LIMIT
    assert len(engine.of(".trial-")) == 1000


def test_a_batch_that_cannot_fit_fails_its_largest_trials(flows, monkeypatch):
    """The rule, the size and the remedy stand in their reason, and the others run."""
    monkeypatch.setattr(trial_inputs, "MAP_LIMIT", 3_000)
    words = ["short", "long" * 600, "also short"]
    given = optuna.create_study()
    for word in words:
        given.enqueue_trial({"word": word, "params.a": 0.5})
    optimizer = Optimizer(flows("flow_of_size").objective, 3, 3, study=given)
    study = optimizer(params={"a": suggest.float(0, 1)}, word=suggest.category(words))
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "FAIL", "COMPLETE"]
    reason = study.trials[1].user_attrs[ERROR_ATTRIBUTE]
    assert re.search(r"at most 3000 bytes, but those of 3 trials take \d+, .* of trial 1 .* `batch_size`", reason)


def test_the_nodes_of_a_search_show_how_far_it_is(tmp_path, flows):
    """A node that told something and asks has a light deck, the last node the report, and Flyte knows of both."""
    _, engine = run(flows, tmp_path, "plain", {"n_trials": 6})
    asks = sorted(engine.of(".ask-"), key=lambda pod: pod.started)
    decks = [pod.metadata / "deck.html" for pod in (*asks, *engine.of(".finish-"))]
    texts = [deck.read_text() for deck in decks]
    assert len(texts) == 3
    for position, text in enumerate(texts[:-1], start=1):
        assert f"Generation {position} of 3" in text
        assert "application/json" not in text
        assert len(text) < 100_000
    assert "application/json" in texts[-1]
    assert "generation 2/3: 4/6 trials, 0 failed, best" in asks[1].stderr
    for name, template in engine.templates.items():
        shown = ".ask-" in name or ".finish-" in name
        assert template.metadata.generates_deck.value == shown


def test_large_fixed_inputs_are_refused_before_anything_runs(tmp_path, flows):
    """The size and the remedy stand in the error; smaller ones are handed on, and an int suits a float."""
    flow = flows("flow_of_faults")
    with pytest.raises(ExecutionFailedError, match=r"at most 131072 bytes inline, but they take .* go by reference"):
        Engine(tmp_path / "large", CODE).run(flow.heavy, {"count": 12_000})
    outputs = Engine(tmp_path / "small", CODE).run(flow.heavy, {"count": 5_000})
    assert outputs["o0"].scalar.primitive.float_value == 0.0
