"""Promises: those that cannot be are refused while a workflow is written."""

import flytekit as fl
import numpy as np
import optuna
import pytest
from flytekit.core.type_engine import TypeEngine
from objectives import X, built, pair, square

from flyteoptuna import Optimizer, suggest
from flyteoptuna.flyte.types.study_attributes import ATTRIBUTES


@fl.task
def words() -> tuple[str, int]:
    return "word", 3


@fl.task
def made() -> optuna.Study:
    return optuna.create_study()


class Large(optuna.samplers.RandomSampler):
    def __init__(self):
        super().__init__()
        self.ballast = np.random.default_rng(1).bytes(1_000_000)


@pytest.mark.parametrize(
    ("body", "match"),
    [
        (lambda: Optimizer(square, words()[0], 1)(**X), "`concurrency` must be of type int or .*a promise of str"),
        (lambda: Optimizer(square, 1, made())(**X), "`n_trials` must be of type int.*a promise of optuna.Study"),
        (lambda: Optimizer(square, 1, made().best_value)(**X), "`n_trials` must be of type int.*a promise of float"),
        (
            lambda: Optimizer(square, 1, 1, study=words()[1])(**X),
            "`study` must be of type optuna.Study.*a promise of int",
        ),
        (lambda: Optimizer(square, 1, 1, timeout=words()[1])(**X), "a promise of int. Annotate .* input as float"),
        (lambda: Optimizer(square, 1, 1, timeout=words()[0])(**X), "`timeout` must be of type float.*a promise of str"),
        (
            lambda: Optimizer(pair, 1, 1, directions=["minimize"] * 2)(
                params={"depth": suggest.integer(0, 1), "a": words()[1]}, y=0.0
            ),
            "A promise cannot stand beside suggestions, but `params.a` is",
        ),
        (
            lambda: Optimizer(square, 1, 1, study=optuna.create_study(sampler=Large()))(**X),
            "A study bound at registration must have at most 524288 bytes",
        ),
    ],
)
def test_a_promise_that_cannot_be_is_refused_when_the_workflow_is_written(body, match):
    """The kind of the promise stands in the message."""
    with pytest.raises((TypeError, ValueError), match=match):
        built(body)


@pytest.mark.parametrize(
    ("objective", "use", "message"),
    [
        (square, lambda study: study.best_valu, "has no `best_valu` in a workflow; it has: best_value, best_params"),
        (square, lambda study: study.trials[0].value, "has no `trials` in a workflow.* A task that takes `study: optu"),
        (square, lambda study: study["best_value"], r"has attributes, .* but got study\['best_value'\]"),
        (pair, lambda study: study.best_value, "several objectives has no `best_value`, but `best_trials`"),
    ],
)
def test_what_a_study_does_not_have_is_refused_before_it_is_searched(objective, use, message):
    """While the workflow is written, where flytekit would take any name."""

    def wrong() -> float:
        inputs = X if objective is square else {"params": {"depth": suggest.integer(1, 2)}, "y": 1.0}
        directions = ["minimize"] * (1 if objective is square else 2)
        return use(Optimizer(objective, 1, 10**6, directions=directions)(**inputs))

    with pytest.raises(Exception, match=message):
        fl.workflow(wrong)()


def test_what_a_study_has_is_known_without_optuna():
    """The names that a workflow may use are those that a study's literal has."""
    literal_type = TypeEngine.to_literal_type(optuna.Study)
    assert set(ATTRIBUTES) == set(literal_type.structure.dataclass_type)
