"""The file of a study: it keeps everything, and says what it cannot keep."""

import gc
import json
import logging
import math
import time
import warnings
from pathlib import Path

import cloudpickle
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial
from study_files import QUICK, contents, example, fresh, members, refuses, rewritten, searches, zipped

from flyteoptuna.errors import StudyFormatError
from flyteoptuna.internals.optuna_internals import in_memory_storage
from flyteoptuna.storage import file_limits
from flyteoptuna.storage.file_format import dump_study, read_study, restore_study
from flyteoptuna.storage.search_study import SearchStudy, new_study

pytestmark = [
    pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning"),
    pytest.mark.filterwarnings("ignore:.*(out of range|not divisible)"),
]
FILES = Path(__file__).parents[1] / "files"


@QUICK
@given(study=searches(), stopped=st.booleans())
def test_saving_and_loading_is_an_identity(study, stopped):
    """Whatever a study holds comes back, to the type, from both ways of reading it, and makes the same bytes again."""
    study.stopped = stopped
    data = dump_study(study)
    for restored in (restore_study(data), read_study(data)):
        assert contents(restored) == contents(study)
        assert restored.stopped is stopped
        assert restored._storage._studies[0].param_distribution == study._storage._studies[0].param_distribution
    assert members(dump_study(restore_study(data)))["study.json"] == members(data)["study.json"]


def test_an_example_of_everything_comes_back():
    """Equal choices, stepped ranges, infinite values and NaN reports, times and attributes are kept for every state."""
    study = example()
    assert contents(restore_study(dump_study(study))) == contents(study)
    assert {t.state for t in study.trials} == set(TrialState)


def test_a_range_that_rounding_keeps_a_step_from_dividing_is_not_changed():
    """The bounds of a distribution are those that were saved, whatever its constructor would make of them."""
    study = optuna.create_study()
    distribution = FloatDistribution(0.1, 0.7, step=0.2)
    distribution.high = 0.7000000000000001
    study.ask({"x": distribution})
    assert read_study(dump_study(study)).trials[0].distributions["x"].high == 0.7000000000000001


def test_tuples_come_back_as_lists():
    """An attribute is what JSON makes of it, as from optuna's own storages."""
    study = optuna.create_study()
    study.set_user_attr("pair", (1, {2: "a"}))
    assert read_study(dump_study(study)).user_attrs == {"pair": [1, {"2": "a"}]}


def test_the_same_study_makes_the_same_bytes(monkeypatch):
    """A file does not depend on when it is written."""
    study = example()
    first = dump_study(study)
    monkeypatch.setattr(time, "time", lambda: 2e9)
    monkeypatch.setattr(time, "localtime", lambda *_: time.gmtime(2e9))
    assert dump_study(study) == first


def test_making_and_loading_a_study_logs_nothing(caplog):
    """A driver's log is free of the studies that it makes."""
    optuna.logging.enable_propagation()
    with caplog.at_level(logging.DEBUG):
        study = new_study([StudyDirection.MINIMIZE], optuna.samplers.RandomSampler(), optuna.pruners.NopPruner(), "s")
        restore_study(dump_study(study))
    optuna.logging.disable_propagation()
    assert caplog.records == []
    assert (study.study_name, study.trials, study.direction) == ("s", [], StudyDirection.MINIMIZE)


def test_stopping_and_callbacks_are_kept():
    """`stop` outside `optimize` sets a flag, which is saved with the study, as its callbacks are, lambdas too."""
    study = new_study([StudyDirection.MINIMIZE], optuna.samplers.RandomSampler(), optuna.pruners.NopPruner())
    assert (study.stopped, study.callbacks) == (False, [])
    assert set(members(dump_study(study))) == {"study.json", "sampler.pickle", "pruner.pickle"}
    study.callbacks.append(lambda study, trial: study.stop())
    restored = restore_study(dump_study(study))
    assert isinstance(restored, SearchStudy) and not restored.stopped
    restored.callbacks[0](restored, None)
    assert restore_study(dump_study(restored)).stopped and read_study(dump_study(restored)).stopped


@pytest.mark.parametrize("file", sorted(FILES.glob("*.study")), ids=lambda path: path.stem)
def test_files_of_other_versions_open(file):
    """Files that optuna 4.9 and 5.0 wrote hold the same results, and the search goes on with either."""
    data = file.read_bytes()
    assert contents(read_study(data)) == contents(example())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        restored = restore_study(data)
    other = json.loads(members(data)["study.json"])["optuna"] != optuna.__version__
    assert [w.category for w in caught] == [UserWarning] * other
    assert isinstance(restored.sampler, optuna.samplers.TPESampler if other else optuna.samplers.NSGAIISampler)
    restored.tell(3, [0.0, 0.0])
    assert restored.ask({"x": FloatDistribution(0, 1)}).params == {"x": 0.5}


def elsewhere(data, version="3.9.9", **changes):
    return rewritten(data, lambda record: record.update(optuna=version, **changes))


def test_under_another_optuna_the_results_are_kept_and_the_sampler_is_replaced():
    """A warning names both versions; the seed is the file's own, so that no two generations share one."""
    study, seeds = example(), set()
    for _ in range(3):
        with pytest.warns(UserWarning, match=rf"under optuna 3\.9\.9, and this is optuna {optuna.__version__}: every"):
            restored = restore_study(elsewhere(dump_study(study)))
        assert contents(restored) == contents(study)
        assert isinstance(restored.sampler, optuna.samplers.TPESampler) and restored.sampler._constant_liar
        seeds.add(restored.sampler._rng.rng.randint(2**31))
        study.ask()
    assert len(seeds) == 3


def test_under_another_optuna_a_pruner_is_kept_if_it_can_be():
    """A pruner that cannot be unpickled is replaced by one that prunes nothing, and the warning says so."""
    study = optuna.create_study(pruner=optuna.pruners.ThresholdPruner(upper=1.5))
    with pytest.warns(UserWarning, match=r"TPESampler\(constant_liar=True, seed=\d+\)\.$"):
        assert restore_study(elsewhere(dump_study(study))).pruner._upper == 1.5
    parts = {**members(elsewhere(dump_study(study))), "pruner.pickle": b"cgone\nPruner\n."}
    with pytest.warns(UserWarning, match="and without its pruner"):
        assert isinstance(restore_study(zipped(parts)).pruner, optuna.pruners.NopPruner)


def test_callbacks_that_cannot_be_restored_are_an_error_under_any_optuna():
    """A search does not go on without the callbacks that may be there to stop it; its results can still be read."""
    study = fresh(optuna.samplers.RandomSampler())
    for data in (dump_study(study), elsewhere(dump_study(study))):
        data = zipped({**members(data), "callbacks.pickle": b"cgone\ncallback\n."})
        with warnings.catch_warnings(), pytest.raises(StudyFormatError, match=r"callbacks\.pickle .* named 'gone'"):
            warnings.simplefilter("ignore")
            restore_study(data)
        assert read_study(data).trials == []


@pytest.mark.parametrize(
    ("pickle", "message"),
    [
        (b"cgone\nSampler\n.", r"sampler\.pickle cannot be restored: ModuleNotFoundError: No module named 'gone'"),
        (b"", "EOFError"),
        (b"\x80\x05garbage", "sampler.pickle cannot be restored"),
        (cloudpickle.dumps(3), "holds a int, not a BaseSampler"),
        (None, "has no sampler.pickle"),
    ],
)
def test_a_sampler_that_cannot_be_restored_is_an_error(pickle, message):
    """Under the same version the cause is named, with the versions; the results can still be read."""
    parts = members(dump_study(example())) | ({"sampler.pickle": pickle} if pickle is not None else {})
    if pickle is None:
        del parts["sampler.pickle"]
    with pytest.raises(StudyFormatError, match=message):
        restore_study(zipped(parts))
    assert len(read_study(zipped(parts)).trials) == 5


def test_what_could_not_be_read_is_not_written(monkeypatch):
    """A study beyond the limits is refused when it is saved, not when it is needed."""
    data, study = dump_study(example()), example()
    limits = {"MAX_BYTES": (1000, ""), "MAX_VALUES": (50, "more than 50 values"), "MAX_TRIALS": (4, "more than 4")}
    for limit, (most, message) in limits.items():
        with monkeypatch.context() as patch:
            patch.setattr(file_limits, limit, most)
            refuses(data, f"is too large: .*{message}")
            with pytest.raises(ValueError, match=f"'example' is too large for a file: .*{message}"):
                dump_study(study)
    study.sampler.weight = b"x" * 12_000
    monkeypatch.setattr(file_limits, "MAX_BYTES", 12_000)
    with pytest.raises(ValueError, match=r"sampler\.pickle is too large to be read"):
        dump_study(study)


def test_ten_thousand_trials_take_a_second_and_weigh_little():
    """10,000 trials of 10 parameters are saved and loaded within the limit of 3 s of CPU, in less than 4 MB."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    distributions = {f"x{i}": FloatDistribution(0, 1) for i in range(9)} | {"c": CategoricalDistribution(["a", "b"])}
    trials = [
        create_trial(
            value=float(n),
            params={f"x{i}": math.sin(n * 9 + i) ** 2 for i in range(9)} | {"c": "b"},
            distributions=distributions,
            system_attrs={"flyteoptuna:trial": {"search": 1, "generation": n // 50, "key": f"{n * 2**100:032x}"}},
        )
        for n in range(10_000)
    ]
    study._storage = in_memory_storage("s", study.directions, 0, trials, {})
    for number, trial in enumerate(trials):
        trial.number = trial._trial_id = number
    study._storage = in_memory_storage("s", study.directions, 0, trials, {})
    study._study_id = 0
    gc.collect()
    begin = time.process_time()
    data = dump_study(study)
    restored = restore_study(data)
    assert time.process_time() - begin < 3
    assert len(data) < 4_000_000
    assert restored.get_trials(deepcopy=False) == trials
