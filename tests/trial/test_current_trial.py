"""The trial as an objective sees it."""

import contextvars
import math
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from flyteoptuna import current_trial
from flyteoptuna.trial.current_trial import ActiveTrial, activate


def test_the_current_trial_is_a_stand_in_outside_a_search():
    """Nothing happens, and nothing is in the way of an objective that is called by hand."""
    trial = current_trial()
    trial.report(1.0, 0)
    trial.set_user_attr("a", 1)
    trial.set_constraint("c", 1)
    assert (trial.number, trial.params, trial.should_prune()) == (-1, {}, False)
    assert current_trial().user_attrs == {}


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda t: t.report("x", 0), "`value` must be a number, but got 'x'"),
        (lambda t: t.report(1.0, "x"), "`step` must be an int, but got 'x'"),
        (lambda t: t.report(1.0, -1), r"`0 <= step < 2\*\*63` must hold, but got step=-1"),
        (lambda t: t.report(1.0, 2**63), r"`0 <= step < 2\*\*63` must hold, but got step=9223372036854775808"),
        (lambda t: t.set_user_attr("k", {1j}), "`k` must be something that JSON can hold"),
        (lambda t: t.set_constraint("c", "x"), "`constraint c` must be a number, but got .x."),
        (lambda t: t.set_constraint("c", math.nan), "`constraint c` must not be NaN"),
    ],
)
def test_bad_calls_of_the_trial_name_the_rule(call, match):
    """The rule and the value stand in the message."""
    with pytest.raises((TypeError, ValueError), match=match):
        call(ActiveTrial())


def seen_by(run):
    """The trial that a thread finds, or what it is told."""
    found = []

    def look():
        try:
            found.append(current_trial().number)
        except RuntimeError as error:
            found.append(str(error))

    run(look)
    return found[0]


def in_thread(look, context=None):
    thread = threading.Thread(target=context.run if context else look, args=[look] if context else [])
    thread.start()
    thread.join()


def in_pool(look):
    with ThreadPoolExecutor(1) as pool:
        pool.submit(look).result()


def test_a_foreign_thread_is_told_of_several_trials_and_finds_a_single_one():
    """Each trial's own thread, and what has a copy of its context, finds its own at any time."""
    together, found = threading.Barrier(2, timeout=300), {}

    def trial(number):
        with activate(ActiveTrial(number)):
            together.wait()
            context = contextvars.copy_context()
            own = [seen_by(lambda look: look()), seen_by(lambda look: in_thread(look, context))]
            found[number] = own, [seen_by(in_thread), seen_by(in_pool)]
            together.wait()

    threads = [threading.Thread(target=trial, args=[number]) for number in (3, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in (3, 4):
        own, foreign = found[number]
        assert own == [number, number]
        for told in foreign:
            assert told.startswith("Trials ") and "run in this process, and this thread belongs to none" in told
    with activate(ActiveTrial(5)):
        assert [seen_by(in_thread), seen_by(in_pool)] == [5, 5]
    assert seen_by(in_thread) == -1
