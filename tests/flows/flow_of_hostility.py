"""What users' points, samplers, constraints, callbacks and reports may do to a search: a kind a trial."""

import asyncio
import threading
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import flytekit as fl
import numpy as np
import optuna
from hostile_objective import REPORTS, bear
from optuna.distributions import FloatDistribution

from flyteoptuna import Optimizer, suggest


class SaysNothing(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


class Kind(NamedTuple):
    """What one trial does, and what becomes of it.

    Attributes:
        state: how it ends.
        reason: what is found in its reason.
        point: what is enqueued for it.
        hook: the method of the sampler that does ``action``.
        action: called with the study and the trial; what it returns is what the method returns.
    """

    state: str = "COMPLETE"
    reason: str = ""
    point: dict[str, Any] = {}  # noqa: RUF012 - it is not changed
    hook: str = ""
    action: Callable[..., Any] = lambda *_: None


def raises(error: BaseException) -> Callable[..., Any]:
    def action(*_: Any) -> Any:
        raise error

    return action


def returns(value: Any) -> Callable[..., Any]:
    return lambda *_: value


def refused(**point: Any) -> Kind:
    return Kind("FAIL", f"Parameter `{next(iter(point))}`: ", point=point)


def drawn(value: Any, reason: str = "") -> Kind:
    return Kind("FAIL" if reason else "COMPLETE", reason, hook="sample_independent", action=returns(value))


def asking(hook: str, error: BaseException, reason: str = "") -> Kind:
    return Kind("FAIL", reason or type(error).__name__, hook=hook, action=raises(error))


def told(hook: str, action: Callable[..., Any], state: str = "FAIL", reason: str = "It cannot be told") -> Kind:
    return Kind(state, reason, hook=hook, action=action)


def leaves(where: str, value: Any) -> Callable[..., Any]:
    def action(study: optuna.Study, trial: optuna.trial.FrozenTrial, *_: Any) -> None:
        if where == "study":
            study._storage.set_study_system_attr(study._study_id, "left", value)
        else:
            getattr(study._storage, f"set_trial_{where}")(trial._trial_id, "left", value)

    return action


KINDS = {
    # Points.
    "good": Kind(),
    "x is None": refused(x=None),
    "x is NaN": refused(x=float("nan")),
    "x is text": refused(x="much"),
    "x is a dictionary": refused(x={"a": [1]}),
    "x is a list": refused(x=[1, {"b": None}]),
    "n is NaN": refused(n=float("nan")),
    "n is infinite": refused(n=float("inf")),
    "n is a list": refused(n=[]),
    "n has 70 bits": Kind("FAIL", "Flyte's ints have 64 bits", point={"n": 2**70}),
    "n has 7000 bits": refused(n=2**7000),
    "n outside": Kind(point={"n": 2**40}),
    "a retired choice": refused(choice="retired"),
    "a choice of another type": refused(choice=1),
    "x outside": Kind(point={"x": 7.5}),
    "x is infinite": Kind(point={"x": float("inf")}),
    "x is a number in text": Kind(point={"x": "0.25"}),
    "no such parameter": Kind(point={"nobody's": 5, "": None}),
    # A sampler that is asked.
    "before_trial": asking("before_trial", ValueError("no")),
    "before_trial exits": asking("before_trial", SystemExit(3)),
    "space": asking("infer_relative_search_space", asyncio.CancelledError()),
    "space of None": Kind(hook="infer_relative_search_space"),
    "relative": asking("sample_relative", SaysNothing(), r"SaysNothing: \(its str raises"),
    "relative of None": Kind("FAIL", "TypeError", hook="sample_relative"),
    "relative of text": Kind("FAIL", "`x`", hook="sample_relative", action=returns({"x": "text"})),
    "relative of numpy": Kind(hook="sample_relative", action=returns({"x": np.float32(0.25)})),
    "relative of others": Kind(hook="sample_relative", action=returns({"y": object()})),
    "independent": asking("sample_independent", GeneratorExit()),
    "independent recursion": asking("sample_independent", RecursionError("deep")),
    "draws numpy's": drawn(np.float64(0.5)),
    "draws numpy's small": drawn(np.float32(0.5)),
    "draws numpy's int": drawn(np.int64(1)),
    "draws outside": drawn(7.5),
    "draws NaN": drawn(float("nan"), "`x`"),
    "draws text": drawn("text", "`x`"),
    "draws None": drawn(None, "`x`"),
    "draws an object": drawn(object(), "`x`"),
    "draws an array": drawn(np.zeros(2), "`x`"),
    "leaves an object": Kind("FAIL", "cannot be saved", hook="before_trial", action=leaves("system_attr", object())),
    "leaves a set": Kind("FAIL", "cannot be saved", hook="before_trial", action=leaves("user_attr", {1})),
    "leaves numpy's": Kind(hook="before_trial", action=leaves("system_attr", np.float64(0.5))),
    "leaves the study an object": Kind(hook="before_trial", action=leaves("study", object())),
    # A sampler and constraints that are told.
    "after_trial": told("after_trial", raises(KeyError("no")), "COMPLETE", "its sampler raised. KeyError"),
    "after_trial exits": told("after_trial", raises(SystemExit(1)), "COMPLETE", "its sampler raised. SystemExit"),
    "after_trial says nothing": told("after_trial", raises(SaysNothing()), "COMPLETE", r"\(its str raises"),
    "after_trial leaves": told("after_trial", leaves("system_attr", object()), reason="cannot be saved"),
    "constraints": told("constraints", raises(ZeroDivisionError())),
    "constraints exit": told("constraints", raises(SystemExit())),
    "constraints of NaN": told("constraints", returns((float("nan"),))),
    "constraints of None": told("constraints", returns(None)),
    "constraints of objects": told("constraints", returns((1.0, object())), reason="It cannot be told|be saved"),
    "constraints of numpy's": told("constraints", returns((np.float32(0.5),)), "COMPLETE", ""),
    "infinite constraints": told("constraints", returns((float("inf"),)), "COMPLETE", ""),
    # A pruner.
    "prune": told("prune", raises(LookupError("no")), reason="LookupError: no"),
    "prune exits": told("prune", raises(SystemExit(2)), reason="SystemExit: 2"),
    "prunes": told("prune", returns(True), "PRUNED", ""),
    "prunes by numpy's": told("prune", returns(np.bool_(True)), "PRUNED", ""),
    "prunes by an array": told("prune", returns(np.zeros(2)), reason="ValueError"),
    "prune leaves an object": told("prune", leaves("system_attr", object()), reason="JSON serializable"),
    "prune leaves numpy's": told("prune", leaves("system_attr", np.float64(0.5)), "COMPLETE", ""),
    "prune locks": told("prune", lambda study, _: vars(study.pruner).update(lock=threading.Lock()), "COMPLETE", ""),
    **{name: Kind(state, reason) for name, (state, reason, _) in REPORTS.items()},
}


def kind_of(trial: Any) -> Kind:
    """The kind that a trial was enqueued for."""
    return KINDS.get(trial.system_attrs.get("fixed_params", {}).get("kind", ""), Kind())


def constraints(trial: Any) -> Any:
    kind = kind_of(trial)
    return kind.action() if kind.hook == "constraints" else (0.0,)


class Hostile(optuna.samplers.TPESampler):
    """Does in each of its methods what the trial's kind says."""

    def __init__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            super().__init__(seed=1, n_startup_trials=10_000, constraints_func=constraints)

    def _does(self, hook: str, study: Any, trial: Any) -> tuple[bool, Any]:
        kind = kind_of(trial)
        return (True, kind.action(study, trial)) if kind.hook == hook else (False, None)

    def before_trial(self, study: Any, trial: Any) -> None:
        self._does("before_trial", study, trial)
        super().before_trial(study, trial)

    def infer_relative_search_space(self, study: Any, trial: Any) -> Any:
        found, value = self._does("infer_relative_search_space", study, trial)
        relative = kind_of(trial).hook == "sample_relative"
        return value if found else {"x": FloatDistribution(0, 1)} if relative else {}

    def sample_relative(self, study: Any, trial: Any, search_space: Any) -> Any:
        found, value = self._does("sample_relative", study, trial)
        return value if found else super().sample_relative(study, trial, search_space)

    def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
        found, value = self._does("sample_independent", study, trial) if param_name == "x" else (False, None)
        return value if found else super().sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Any, trial: Any, state: Any, values: Any) -> None:
        self._does("after_trial", study, trial)
        super().after_trial(study, trial, state, values)


class HostilePruner(optuna.pruners.BasePruner):
    """Does what the trial's kind says."""

    def prune(self, study: Any, trial: Any) -> Any:
        return kind_of(trial).action(study, trial)


SPACE = {
    "kind": suggest.category(list(KINDS)),
    "x": suggest.float(0, 1),
    "n": suggest.integer(0, 3),
    "choice": suggest.category(["a", "b"]),
}


def again(study: optuna.Study, trial: Any) -> None:
    """Enqueue in mid-search what was enqueued for the beginning, and what cannot even be saved."""
    if trial.number == 0:
        for kind, row in KINDS.items():
            if row.point and row.state == "FAIL":
                study.enqueue_trial({"kind": kind, **row.point})
        study.enqueue_trial({"kind": "good", "x": object()}, user_attrs={"model": object()})
        study.enqueue_trial({"kind": "good", "n": {1}})
        study.enqueue_trial({"kind": "good"})


def enqueued() -> optuna.Study:
    """A study in which every kind waits."""
    study = optuna.create_study(sampler=Hostile(), pruner=HostilePruner())
    for kind, row in KINDS.items():
        study.enqueue_trial({"kind": kind, **row.point})
    return study


N_TRIALS = len(KINDS) + sum(row.state == "FAIL" for row in KINDS.values() if row.point) + 1
"""As many as are asked: two of those that are enqueued in mid-search cannot even be saved."""


@fl.workflow
def hostility(n_trials: int = N_TRIALS) -> optuna.Study:
    return Optimizer(bear, 4, n_trials, study=enqueued(), batch_size=len(KINDS), callbacks=[again])(**SPACE)


@fl.workflow
def reused(n_trials: int = N_TRIALS) -> optuna.Study:
    return Optimizer(bear, 1, n_trials, study=enqueued(), reuse_pods=True, callbacks=[again])(**SPACE)


def locks(study: optuna.Study) -> None:
    study.sampler.lock = threading.Lock()  # type: ignore[attr-defined]


def spoils(study: optuna.Study) -> None:
    study.set_user_attr("kept", object())
    raise KeyError("no")


ENDINGS: dict[str, tuple[Callable[[optuna.Study], Any], str]] = {
    "raises": (raises(SaysNothing()), r"SaysNothing: \(its str raises ValueError\)"),
    "exits": (raises(SystemExit("bye")), "SystemExit: bye"),
    "spoils and raises": (spoils, "KeyError: 'no'"),
    "leaves an object": (lambda study: study.set_user_attr("kept", object()), r"`user_attrs\['kept'\]` of the study"),
    "locks the sampler": (locks, "The `sampler` of a study .* cannot be pickled any more"),
}
"""What callbacks do that ends a search, and what it says then."""


class Ending:
    """Does it once the first trial has been told, and once more."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __call__(self, study: optuna.Study, trial: Any) -> None:
        ENDINGS[self.kind][0](study)


def ending(kind: str, **settings: Any) -> Any:
    """A workflow of a search that is ended so."""

    def search() -> optuna.Study:
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
        study.set_user_attr("kept", "before")
        callbacks = [Ending(kind), Ending(kind)]
        optimizer = Optimizer(bear, 2, 4, study=study, callbacks=callbacks, **settings)
        return optimizer(kind="good", x=SPACE["x"], n=1, choice="a")

    return fl.workflow(search)
