"""Studies to draw, hostile ones too, and what a page is made of."""

import math
import warnings
from html.parser import HTMLParser

import optuna
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from flyteoptuna.trial.report import ERROR_ATTRIBUTE

HOSTILE = (
    "</style></svg><script>alert(1)</script><img src='http://evil.example/x.png' onerror=\"a()\">&\x00\u202e\ud800"
)
SEARCH = {"generation": 2, "generations": 5, "n_trials": 50}


class Outline(HTMLParser):
    """The tags of a page, which are to be closed in order; and its text."""

    def __init__(self, page):
        super().__init__()
        self.open, self.seen, self.attributes, self.text = [], [], [], ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.seen.append(tag)
        self.attributes += attrs

    def handle_startendtag(self, tag, attrs):
        self.seen.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def make(values=(), directions=("minimize",), names=None, params=None):
    """A study whose trials completed with the given values, or failed where that is None."""
    study = optuna.create_study(directions=list(directions))
    if names:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.set_metric_names(names)
    for i, value in enumerate(values):
        x = {"x": i / len(values)} if params is None else params(i)
        study.add_trial(
            create_trial(
                state=TrialState.FAIL if value is None else TrialState.COMPLETE,
                values=value if value is None or isinstance(value, list) else [value],
                params=x,
                distributions={name: FloatDistribution(0, 1) for name in x},
            )
        )
    return study


def failed(reason):
    """A trial that failed for a reason."""
    return create_trial(state=TrialState.FAIL, user_attrs={ERROR_ATTRIBUTE: reason})


def hostile(directions=("minimize",), trials=20):
    """A study whose every text is hostile and long."""
    huge = "\U0001f600" + HOSTILE + "&" * 1_000_000
    study = make(directions=directions, names=[f"{i}{HOSTILE}" * 9 for i in range(len(directions))])
    params = {f"{i}{HOSTILE * 20}": huge for i in range(30)}
    rich = {"params": params, "distributions": dict.fromkeys(params, CategoricalDistribution([huge]))}
    for i in range(trials):
        # Every trial is better than the one before, and all are Pareto-optimal where there are several objectives.
        values = [float(-i), float(i), *[float(i % 7)] * 9][: len(directions)]
        study.add_trial(create_trial(values=values, **(rich if i in (trials // 2, trials - 1) else {})))
    study.add_trials(failed(f"{letter} {huge}") for letter in "abcdefghijklmnopqrstuvwxyz")
    return study


DISTRIBUTIONS = {
    "x": FloatDistribution(1e-9, 1, log=True),
    "n": IntDistribution(1, 9),
    "c": CategoricalDistribution(["<b>", "a" * 99, "a" * 98, None, 1, True]),
}
PARAMS = st.fixed_dictionaries(
    {},
    optional={
        "x": st.floats(1e-9, 1),
        "n": st.integers(1, 9),
        "c": st.sampled_from(DISTRIBUTIONS["c"].choices),
    },
)
VALUES = st.floats(allow_nan=False) | st.sampled_from([0.0, 1.0, math.inf])


@st.composite
def studies(draw):
    """Small studies of every shape."""
    directions = draw(st.lists(st.sampled_from(["minimize", "maximize"]), min_size=1, max_size=4))
    study = make(directions=directions, names=draw(st.none() | st.just([f"<i>{i}" for i in range(len(directions))])))
    for state in draw(st.lists(st.sampled_from(TrialState), max_size=14)):
        complete = state == TrialState.COMPLETE
        params = draw(PARAMS)
        trial = create_trial(
            state=state,
            values=[draw(VALUES) for _ in directions] if complete else None,
            params=params,
            distributions={name: DISTRIBUTIONS[name] for name in params},
            user_attrs=draw(st.sampled_from([{}, {ERROR_ATTRIBUTE: None}, {ERROR_ATTRIBUTE: "no\nno"}])),
            system_attrs=draw(st.sampled_from([{}, {}, {"constraints": (1.0,)}, {"constraints:a": -1.0}])),
        )
        trial.datetime_start = draw(st.sampled_from([None, trial.datetime_start]))
        study.add_trial(trial) if trial.datetime_start or state == TrialState.WAITING else None
    return study
